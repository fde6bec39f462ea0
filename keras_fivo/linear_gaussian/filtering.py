"""The Kalman filter."""

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.linear_gaussian.chain import LinearGaussian
from keras_fivo.linear_gaussian.linear_algebra import (
    congruence,
    log_determinant,
    matvec,
    solve_lower,
    solve_positive,
    symmetrize,
    transpose,
)
from keras_fivo.types import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class KalmanResult:
    """What the Kalman filter found; exact up to rounding.

    Steps after the last observation hold predictions.

    Attributes:
        log_evidence: `(batch,)`. log p(x_1:T) of what is observed, in nats.
        log_evidence_increments: `(batch, time)`. log p(x_t | x_<t).
        predicted_means: `(batch, time, latent_dim)`. Of p(z_t | x_<t).
        predicted_covariances: `(batch, time, latent_dim, latent_dim)`.
        means: `(batch, time, latent_dim)`. Of p(z_t | x_1:t).
        covariances: `(batch, time, latent_dim, latent_dim)`.
    """

    log_evidence: Tensor
    log_evidence_increments: Tensor
    predicted_means: Tensor
    predicted_covariances: Tensor
    means: Tensor
    covariances: Tensor


def kalman_filter(
    model: LinearGaussian,
    observations: Tensor,
    mask: Tensor | None = None,
) -> KalmanResult:
    """Filters a batch of sequences; differentiable.

    Covariances are updated in Joseph's form and kept symmetric, so that
    1,000 steps in float32 leave them positive definite.

    Args:
        model: The parameters.
        observations: `(batch, time, features)`; any value where missing.
        mask: Bool `(batch, time)` or `(batch, time, features)`, True =
            observed. Unequal lengths: steps beyond them are missing.

    Returns:
        A `KalmanResult`.
    """
    observations, observed = observed_entries(observations, mask)
    found = filter_steps(
        model.steps(int(observations.shape[0])), observations, observed
    )
    return KalmanResult(
        log_evidence=ops.sum(found["log_evidence_increments"], axis=0),
        **{name: ops.swapaxes(x, 0, 1) for name, x in found.items()},
    )


def observed_entries(
    observations: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Observations, zero where missing, and which entries are observed.

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
    return ops.swapaxes(observations, 0, 1), ops.swapaxes(observed, 0, 1)


def filter_steps(steps: dict, observations: Tensor, observed: Tensor) -> dict:
    """The filter on parameters by step, time first.

    Args:
        steps: As from `LinearGaussian.steps`.
        observations: `(time, batch, features)`, finite where missing.
        observed: Bool `(time, batch, features)`.

    Returns:
        A dict of the fields of `KalmanResult`, time first.
    """
    batch = ops.shape(observations)[1]
    size = int(steps["transition_matrix"].shape[-1])
    identity = ops.eye(size)

    def step(carry: tuple, now: dict) -> tuple[tuple, dict]:
        mean, covariance = predict(now, *carry)
        matrix, noise = observed_emission(now)
        residual = now["x"] - matvec(matrix, mean) - now["emission_offset"]
        residual = ops.where(
            now["observed"], residual, ops.zeros_like(residual)
        )
        projected = ops.matmul(matrix, covariance)
        factor = ops.cholesky(
            symmetrize(ops.matmul(projected, transpose(matrix)) + noise)
        )
        gain = transpose(solve_positive(factor, projected))
        keep = identity - ops.matmul(gain, matrix)
        new_mean = mean + matvec(gain, residual)
        new_covariance = congruence(keep, covariance) + congruence(gain, noise)
        increment = _log_density(factor, residual, now["observed"])
        found = {
            "log_evidence_increments": increment,
            "predicted_means": mean,
            "predicted_covariances": covariance,
            "means": new_mean,
            "covariances": new_covariance,
        }
        return (new_mean, new_covariance), found

    start = ops.zeros((batch, size)), ops.zeros((batch, size, size))
    inputs = {**steps, "x": observations, "observed": observed}
    return backend.scan(step, start, inputs)[1]


def predict(
    now: dict, mean: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and covariance of z_t from those of z_{t-1}."""
    matrix = now["transition_matrix"]
    mean = matvec(matrix, mean) + now["transition_offset"]
    covariance = congruence(matrix, covariance) + now["transition_covariance"]
    return mean, covariance


def observed_emission(now: dict) -> tuple[Tensor, Tensor]:
    """The emission's matrix and noise, with nothing to learn where missing.

    A missing entry gets a row of zeros and independent noise of variance 1:
    together with a residual of 0 it changes no mean, no covariance and no
    determinant.
    """
    observed = now["observed"]
    matrix = now["emission_matrix"]
    matrix = ops.where(
        ops.expand_dims(observed, -1), matrix, ops.zeros_like(matrix)
    )
    both = ops.logical_and(
        ops.expand_dims(observed, -1), ops.expand_dims(observed, -2)
    )
    noise = now["emission_covariance"]
    identity = ops.eye(int(noise.shape[-1]), dtype=noise.dtype)
    return matrix, ops.where(both, noise, identity)


def _log_density(factor: Tensor, residual: Tensor, observed: Tensor) -> Any:
    whitened = solve_lower(factor, ops.expand_dims(residual, -1))
    distance = ops.sum(ops.square(whitened), axis=(-2, -1))
    count = ops.sum(ops.cast(observed, residual.dtype), axis=-1)
    return -0.5 * (distance + log_determinant(factor) + count * LOG_TWO_PI)
