"""The Kalman filter, in the form of square roots."""

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import time_first
from keras_fivo.linear_gaussian.linear_algebra import (
    absorb,
    diagonal,
    matvec,
    solve_upper,
    triangular_root,
)
from keras_fivo.linear_gaussian.messages import observation_messages
from keras_fivo.types import Tensor


def observed_entries(
    observations: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Returns observations, zero where missing, and what is observed.

    Returns:
        `(time, batch, features)` each.
    """
    observations = ops.convert_to_tensor(observations, keras.config.floatx())
    if len(observations.shape) != 3:
        raise ValueError(
            "`observations` must be (batch, time, features). "
            f"Received: an array of shape {tuple(observations.shape)}"
        )
    observed = ops.ones_like(observations, dtype="bool")
    if mask is not None:
        mask = ops.cast(ops.convert_to_tensor(mask), "bool")
        mask = mask if len(mask.shape) == 3 else ops.expand_dims(mask, -1)
        observed = ops.logical_and(observed, mask)
    observations = ops.where(
        observed, observations, ops.zeros_like(observations)
    )
    return time_first(observations), time_first(observed)


def filter_steps(steps: dict, observations: Tensor, observed: Tensor) -> dict:
    """Filters with parameters by step, time first.

    It carries roots of covariances, not covariances: under a prior 1,000
    times as wide as the noise the latter would lose all digits of float32.

    Args:
        steps: As from `LinearGaussian.steps`.
        observations: `(time, batch, features)`, finite where missing.
        observed: Bool `(time, batch, features)`.

    Returns:
        A dict of `log_evidence_increments`, `predicted_means`,
        `predicted_roots`, `means` and `roots`, time first; a root times its
        transpose is a covariance.
    """
    message = observation_messages(steps, observations, observed)
    batch = ops.shape(observations)[1]
    size = int(steps["transition_matrix"].shape[-1])

    def step(carry: tuple, now: dict) -> tuple[tuple, dict]:
        mean, root = carry
        matrix = now["transition_matrix"]
        mean = matvec(matrix, mean) + now["transition_offset"]
        root = triangular_root(
            ops.matmul(matrix, root), now["transition_factor"]
        )
        residual = now["target"] - matvec(now["root"], mean)
        new_root, turned, inner = absorb(root, now["root"])
        turned = matvec(turned, residual)
        move = matvec(new_root, turned)
        # A sum of two squares: the latent's own move, and what remains.
        own = solve_upper(inner, ops.expand_dims(turned, -1))
        rest = residual - matvec(now["root"], move)
        distance = ops.sum(ops.square(own), axis=(-2, -1))
        distance = distance + ops.sum(ops.square(rest), axis=-1)
        found = {
            "log_evidence_increments": now["log_constant"]
            - ops.sum(ops.log(diagonal(inner)), axis=-1)
            - 0.5 * distance,
            "predicted_means": mean,
            "predicted_roots": root,
            "means": mean + move,
            "roots": new_root,
        }
        return (mean + move, new_root), found

    start = ops.zeros((batch, size)), ops.zeros((batch, size, size))
    names = ("matrix", "offset", "factor")
    moves = {f"transition_{x}": steps[f"transition_{x}"] for x in names}
    return backend.scan(step, start, {**moves, **message})[1]
