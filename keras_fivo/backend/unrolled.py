"""A scan written out step by step: plain, or for exported programs."""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops

from keras_fivo.types import Nested


class _Mode:
    """An attribute, as PyTorch's tracing knows no context variables."""

    active = False


def write_out(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs` in a loop of Python.

    Args:
        step: Takes the carry and one step of the inputs, returns the next
            carry and outputs.
        carry: Nested tensors.
        inputs: Nested tensors `(time, ...)`; time is known.
        reverse: Whether the last step comes first.

    Returns:
        The last carry; and the outputs, `(time, ...)`.
    """
    columns = [ops.unstack(x, axis=0) for x in keras.tree.flatten(inputs)]
    times = range(len(columns[0]))
    start, structure, rows = carry, None, []
    for time in reversed(times) if reverse else times:
        now = keras.tree.pack_sequence_as(inputs, [x[time] for x in columns])
        carry, structure = step(carry, now)
        rows.append(keras.tree.flatten(structure))
    keras.tree.assert_same_structure(start, carry)
    ordered = rows[::-1] if reverse else rows
    stacked = [ops.stack(column) for column in zip(*ordered, strict=True)]
    return carry, keras.tree.pack_sequence_as(structure, stacked)


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
        return write_out(step, carry, inputs, reverse)

    chosen.__doc__ = scan.__doc__
    return chosen
