"""Weights of each step's own that read later observations."""

from typing import Any

import numpy as np
from keras import ops

from keras_fivo.axes import like_rows
from keras_fivo.types import Tensor


def by_pair(weight: Any, num_steps: int, gap: int) -> Tensor:
    """Lays out one weight for each pair of steps; zero for other pairs.

    Args:
        weight: `(pairs, ...)`, of the pairs (t, s) with s >= t + gap, in the
            order of t, s.
        num_steps: Number of steps.
        gap: Smallest distance from a step to the one that it reads.

    Returns:
        `(num_steps, num_steps, ...)`.
    """
    later = np.triu(np.ones((num_steps, num_steps), bool), k=gap)
    indices = np.full(later.shape, later.sum(), "int32")
    indices[later] = np.arange(later.sum())
    weight = ops.convert_to_tensor(weight)
    nothing = ops.zeros_like(weight[:1])
    return ops.take(ops.concatenate([weight, nothing], axis=0), indices, axis=0)


def from_first_step(x: Tensor, step: Tensor, num_steps: int) -> Tensor:
    """Moves values to their number since each began; zero elsewhere.

    Args:
        x: `(time, batch, ...)`.
        step: Int32 `(time, batch)`, the numbers of the steps, from 0; a
            filter that goes on from a state begins at a later one.
        num_steps: Number of steps that there are weights for.

    Returns:
        `(num_steps, batch, ...)`.

    Raises:
        ValueError: If `x` has more steps.
    """
    length = int(x.shape[0])
    check_steps(length, num_steps)
    numbers = ops.expand_dims(ops.arange(num_steps, dtype="int32"), -1)
    index = like_rows(numbers - step[:1], x)
    inside = (index >= 0) & (index < length)
    x = ops.take_along_axis(x, ops.clip(index, 0, length - 1), axis=0)
    return ops.where(inside, x, ops.zeros_like(x))


def at_steps(values: Tensor, step: Tensor) -> Tensor:
    """Returns values `(num_steps, batch, ...)` at steps `(time, batch)`.

    Steps beyond the last take its values.
    """
    last = int(values.shape[0]) - 1
    index = like_rows(ops.minimum(step, last), values)
    return ops.take_along_axis(values, index, axis=0)


def check_steps(length: int, num_steps: int) -> None:
    """Refuses sequences that are longer than there are weights for."""
    if length > num_steps:
        raise ValueError(
            "A twist or a smoothing proposal with weights of each step's own "
            f"takes sequences of up to {num_steps} steps. "
            f"Received: sequences of {length} steps. Make it with a larger "
            "`num_steps`, or filter shorter sequences."
        )
