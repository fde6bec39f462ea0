"""What one step of a cell gives, and how steps are put together."""

from dataclasses import dataclass

from keras import ops

from keras_fivo.distributions import (
    Distribution,
    MultivariateNormal,
    Normal,
)
from keras_fivo.types import Tensor


@dataclass(frozen=True)
class StepResult:
    """One step of a cell, by rows; log-values in nats.

    Attributes:
        latent: `(rows, latent_dim)`. The latent drawn from the proposal.
        log_transition: `(rows,)`. log p(z_t | past).
        log_proposal: `(rows,)`. log q(z_t | ...).
        log_emission: `(rows,)`. log p(x_t | z_t, past) of what is observed.
        kl: `(rows,)`. Analytic KL(q || p) of the latent, or NaN.
    """

    latent: Tensor
    log_transition: Tensor
    log_proposal: Tensor
    log_emission: Tensor
    kl: Tensor


def last_active(values: Tensor, active: Tensor) -> Tensor:
    """The value after each sequence's last step.

    Args:
        values: `(time + 1, batch, ...)`, before each step and after the last.
        active: Bool `(time, batch)`.

    Returns:
        `(batch, ...)`.
    """
    lengths = ops.sum(ops.cast(active, "int32"), axis=0)
    shape = (1, -1) + (1,) * (len(values.shape) - 2)
    return ops.take_along_axis(values, ops.reshape(lengths, shape), axis=0)[0]


def analytic_kl(proposal: Distribution, transition: Distribution) -> Tensor:
    """KL(proposal || transition) by rows; NaN where it has no closed form."""
    if proposal is transition:
        return ops.zeros_like(proposal.mean[..., 0])
    if isinstance(proposal, Normal) and isinstance(transition, Normal):
        return proposal.kl(transition)
    first, second = _as_multivariate(proposal), _as_multivariate(transition)
    if first is not None and second is not None:
        return first.kl(second)
    return ops.full_like(proposal.mean[..., 0], float("nan"))


def _as_multivariate(density: Distribution) -> MultivariateNormal | None:
    if isinstance(density, Normal):
        return MultivariateNormal.from_normal(density)
    return density if isinstance(density, MultivariateNormal) else None
