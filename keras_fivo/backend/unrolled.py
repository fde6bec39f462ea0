"""A scan written out step by step, for programs that are exported."""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops

from keras_fivo.types import Nested


class _Mode:
    """An attribute, as PyTorch's tracing knows no context variables."""

    active = False


@contextlib.contextmanager
def unrolled() -> Iterator[None]:
    """Scans inside are written out: without loops, and without gradients."""
    before, _Mode.active = _Mode.active, True
    try:
        yield
    finally:
        _Mode.active = before


def unrolling(scan: Callable) -> Callable:
    """Returns a scan that is written out inside `unrolled`.

    Args:
        scan: That of the framework; see `jax.lax.scan`.
    """

    def chosen(
        step: Callable, carry: Nested, inputs: Nested, reverse: bool = False
    ) -> tuple[Nested, Nested]:
        if not _Mode.active:
            return scan(step, carry, inputs, reverse)
        num_steps = int(keras.tree.flatten(inputs)[0].shape[0])
        outputs: list = [None] * num_steps
        order = range(num_steps)
        for t in reversed(order) if reverse else order:
            now = keras.tree.map_structure(lambda x, t=t: x[t], inputs)
            carry, outputs[t] = step(carry, now)
        stacked = keras.tree.map_structure(
            lambda *values: ops.stack(values), *outputs
        )
        return carry, stacked

    chosen.__doc__ = scan.__doc__
    return chosen
