"""What a filter's result tells of single steps and particles."""

from typing import Any

import keras
import numpy as np

from keras_fivo.smc import FilterResult


def evidence_increments(
    result: FilterResult, state: dict | None = None
) -> np.ndarray:
    """Returns log p(x_t | x_<t) of each step, as IWAE or FIVO estimate it.

    Their sum over a sequence's steps is its log evidence.

    Args:
        result: Result of a filter without a twist.
        state: The state that the filter went on from, if it did.

    Returns:
        Float64 `(batch, time)`, in nats; 0 where a step does not count.

    Raises:
        ValueError: If the cell has a twist, whose weights look ahead.
    """
    if result.log_twist is not None:
        raise ValueError(
            "Increments are those of a filter without a twist: make the cell "
            "without it, or filter with IWAE. Received: a result with log_twist"
        )
    log_weights = _numpy(result.log_weights).astype("float64")
    resampled = _numpy(result.resampled)
    total = _log_mean_exp(log_weights)  # since the last resampling
    before = np.zeros_like(total)
    before[:, 1:] = np.where(resampled[:, :-1], 0.0, total[:, :-1])
    if state is not None:
        earlier = _numpy(state["log_weights"]).astype("float64")
        before[:, 0] = _log_mean_exp(earlier)
    # Once all particles are dead, all that follows has the evidence 0.
    dead = np.isneginf(before) & np.isneginf(total)
    with np.errstate(invalid="ignore"):
        increments = np.where(dead, -np.inf, total - before)
    return np.where(_numpy(result.active), increments, 0.0)


def lineage(result: FilterResult) -> np.ndarray:
    """Returns the ancestors of each sequence's last particles at all steps.

    With `latents` of the result, the paths of the particles are
    `np.take_along_axis(latents, lineage(result)[..., None], axis=2)`.

    Args:
        result: Result of a filter that kept its paths, with a scheme that
            chooses ancestors.

    Returns:
        Int32 `(batch, time, particles)`: at `[b, t, k]` the particle of step
        t that particle k of the sequence's last step descends from; from the
        last step on, k.

    Raises:
        ValueError: If particles are blends of others.
    """
    shape = _numpy(result.log_weights).shape
    if result.ancestors is None:
        # Nothing was resampled.
        chosen = np.broadcast_to(np.arange(shape[2], dtype="int32"), shape)
    else:
        chosen = _numpy(result.ancestors)
    if chosen.shape != shape:
        raise ValueError(
            "A lineage needs particles with one ancestor each: filter with a "
            "scheme other than 'relaxed'. "
            f"Received: ancestors of shape {chosen.shape}"
        )
    lengths = _numpy(result.lengths)[:, None]
    found = np.empty(shape, "int32")
    index = np.tile(np.arange(shape[2]), (shape[0], 1))
    for t in reversed(range(shape[1])):
        if t + 1 < shape[1]:
            older = np.take_along_axis(chosen[:, t], index, axis=1)
            index = np.where(t + 1 < lengths, older, index)
        found[:, t] = index
    return found


def _log_mean_exp(x: np.ndarray) -> np.ndarray:
    """Averages weights given as logs, over the last axis; -inf where all is."""
    largest = x.max(-1, keepdims=True)
    safe = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - safe).mean(-1)) + safe[..., 0]


def _numpy(x: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(x))
