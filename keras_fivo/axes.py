"""Axes of time, of the batch and of particles: moved, merged and repeated."""

from typing import Any

import keras
from keras import ops

from keras_fivo.types import Nested, Tensor


def time_first(x: Tensor) -> Tensor:
    """Swaps the first two axes, from `(batch, time, ...)`."""
    x = ops.convert_to_tensor(x)
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def batch_first(x: Tensor) -> Tensor:
    """Swaps the first two axes, from `(time, batch, ...)`."""
    return time_first(x)


def expand_rows(tree: Nested, num_particles: int) -> Nested:
    """Repeats `(batch, ...)` to rows `(batch * num_particles, ...)`."""
    if num_particles == 1:
        return keras.tree.map_structure(lambda x: x, tree)

    def expand(x: Tensor) -> Tensor:
        shape = ops.shape(x)
        # (batch, ...) -> (batch, particles, ...) -> (batch * particles, ...)
        wide = ops.broadcast_to(
            ops.expand_dims(x, 1), (shape[0], num_particles, *shape[1:])
        )
        return ops.reshape(wide, (-1, *shape[1:]))

    return keras.tree.map_structure(expand, tree)


def flatten_rows(tree: Nested) -> Nested:
    """Merges the first two axes, as of `(batch, particles, ...)`."""
    return keras.tree.map_structure(
        lambda x: ops.reshape(x, (-1, *ops.shape(x)[2:])), tree
    )


def like_rows(x: Tensor, other: Tensor) -> Tensor:
    """Appends axes of size one to `x`, up to the rank of `other`."""
    missing = len(other.shape) - len(x.shape)
    return ops.reshape(x, (*ops.shape(x), *[1] * missing))


def zero_beyond(active: Tensor, values: Tensor) -> Tensor:
    """Returns the values where `active` holds, and zero elsewhere.

    Args:
        active: Bool, of the shape of the first axes of the values.
        values: Tensor.
    """
    return ops.where(like_rows(active, values), values, ops.zeros_like(values))


def next_step(tree: Nested) -> Nested:
    """Shifts `(time, ...)` to the step after; the last is repeated."""
    return keras.tree.map_structure(
        lambda x: ops.concatenate([x[1:], x[-1:]], axis=0), tree
    )


def number_steps(num_steps: int, batch: int, first: Any = 0) -> Tensor:
    """Returns the numbers of steps, int32 `(time, batch)`.

    Args:
        num_steps: Number of steps.
        batch: Number of sequences.
        first: Number of the first step, one or `(batch,)`.
    """
    steps = ops.expand_dims(ops.arange(num_steps, dtype="int32"), -1) + first
    return ops.broadcast_to(steps, (num_steps, batch))


def repeat_steps(x: Tensor, num_steps: int) -> Tensor:
    """Repeats `(...)` over a new first axis, of time."""
    return ops.broadcast_to(ops.expand_dims(x, 0), (num_steps, *ops.shape(x)))


def last_active(values: Tensor, active: Tensor) -> Tensor:
    """Returns the value after each sequence's last step, `(batch, ...)`.

    Args:
        values: `(time + 1, batch, ...)`, before each step and after the last.
        active: Bool `(time, batch)`.
    """
    # (batch,) -> (1, batch, 1, ...)
    lengths = ops.sum(ops.cast(active, "int32"), axis=0)[None]
    return ops.take_along_axis(values, like_rows(lengths, values), axis=0)[0]


def any_entry(observed: Tensor, num_leading: int = 1) -> Tensor:
    """Tells which observations have an entry that is there.

    Args:
        observed: Bool, the leading axes, then those of an observation, if any.
        num_leading: Number of leading axes, which are kept.
    """
    if len(observed.shape) == num_leading:
        return observed
    entries = range(num_leading, len(observed.shape))
    return ops.any(observed, axis=tuple(entries))
