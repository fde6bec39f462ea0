"""The Kalman smoother, in the form of Rauch, Tung and Striebel."""

from dataclasses import dataclass

from keras import ops

from keras_fivo import backend
from keras_fivo.linear_gaussian.chain import LinearGaussian
from keras_fivo.linear_gaussian.filtering import (
    filter_steps,
    observed_entries,
)
from keras_fivo.linear_gaussian.linear_algebra import (
    congruence,
    matvec,
    solve_positive,
    transpose,
)
from keras_fivo.types import Tensor


@dataclass(frozen=True)
class SmoothingResult:
    """What the Kalman smoother found; exact up to rounding.

    Attributes:
        log_evidence: `(batch,)`. log p(x_1:T) of what is observed, in nats.
        means: `(batch, time, latent_dim)`. Of p(z_t | x_1:T).
        covariances: `(batch, time, latent_dim, latent_dim)`.
    """

    log_evidence: Tensor
    means: Tensor
    covariances: Tensor


def kalman_smoother(
    model: LinearGaussian,
    observations: Tensor,
    mask: Tensor | None = None,
) -> SmoothingResult:
    """Marginals of the latents given the whole sequence; differentiable.

    Args:
        model: The parameters.
        observations: `(batch, time, features)`; any value where missing.
        mask: Bool `(batch, time)` or `(batch, time, features)`, True =
            observed. Unequal lengths: steps beyond them are missing.

    Returns:
        A `SmoothingResult`.

    Reference:
        Rauch, Tung and Striebel, 1965, "Maximum Likelihood Estimates of
        Linear Dynamic Systems".
    """
    observations, observed = observed_entries(observations, mask)
    steps = model.steps(int(observations.shape[0]))
    found = filter_steps(steps, observations, observed)
    means, covariances = smooth_steps(steps, found)
    return SmoothingResult(
        log_evidence=ops.sum(found["log_evidence_increments"], axis=0),
        means=ops.swapaxes(means, 0, 1),
        covariances=ops.swapaxes(covariances, 0, 1),
    )


def backward_conditionals(steps: dict, found: dict) -> dict:
    """p(z_t | z_{t+1}, x_1:t) of all steps but the last.

    Its mean is `mean_t + gain_t (z_{t+1} - predicted_mean_{t+1})`.

    Args:
        steps: As from `LinearGaussian.steps`.
        found: As from `filter_steps`.

    Returns:
        Dict of `mean`, `gain`, `predicted` and `covariance`, `(time - 1,
        batch, ...)`.
    """
    matrix = steps["transition_matrix"][1:]
    covariance = found["covariances"][:-1]
    factor = ops.cholesky(found["predicted_covariances"][1:])
    gain = transpose(solve_positive(factor, ops.matmul(matrix, covariance)))
    keep = ops.eye(int(matrix.shape[-1])) - ops.matmul(gain, matrix)
    noise = steps["transition_covariance"][1:]
    return {
        "mean": found["means"][:-1],
        "gain": gain,
        "predicted": found["predicted_means"][1:],
        "covariance": congruence(keep, covariance) + congruence(gain, noise),
    }


def smooth_steps(steps: dict, found: dict) -> tuple[Tensor, Tensor]:
    """The smoother on parameters by step.

    Args:
        steps: As from `LinearGaussian.steps`.
        found: As from `filter_steps`.

    Returns:
        Means `(time, batch, latent_dim)` and covariances.
    """
    last = found["means"][-1], found["covariances"][-1]

    def step(carry: tuple, now: dict) -> tuple[tuple, tuple]:
        mean, covariance = carry
        mean = now["mean"] + matvec(now["gain"], mean - now["predicted"])
        covariance = now["covariance"] + congruence(now["gain"], covariance)
        return (mean, covariance), (mean, covariance)

    ends = tuple(ops.expand_dims(x, 0) for x in last)
    if int(found["means"].shape[0]) == 1:
        return ends
    _, before = backend.scan(
        step, last, backward_conditionals(steps, found), reverse=True
    )
    return tuple(
        ops.concatenate([x, end], axis=0)
        for x, end in zip(before, ends, strict=True)
    )
