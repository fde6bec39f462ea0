"""Names and structures for what the library passes around."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Tensor = Any
"""A tensor of the active backend; Keras 3 has no common base class."""

Nested = Any
"""A tensor, or a list, tuple or dict of nested tensors."""

Shape = Sequence[int | None]
"""Sizes by axis; `None` where unknown until run time."""

SeedLike = Any
"""An int, a `keras.random.SeedGenerator`, or `None`."""


@dataclass(frozen=True)
class StepResult:
    """One step of a model, by rows; log-values in nats.

    Attributes:
        latent: `(rows, latent_dim)`. The latent drawn from the proposal.
        log_transition: `(rows,)`. log p(z_t | past).
        log_proposal: `(rows,)`. log q(z_t | ...).
        kl: `(rows,)`. Analytic KL(q || p) of the latent, or NaN.
        emitted: Nested `(rows, ...)`. What `weigh` needs of the step.
        weigh: Turns `emitted` into `log_emission`.
        context: Nested `(rows, ...)`. What the step knew of the past.
        log_twist: `(rows,)`. log r_t, where the target is twisted.
        log_twist_before: `(rows,)`. log r_{t-1}, likewise.
        free_energies: `(rows, num_iterations + 1)`. Those of an iterative
            proposal, before the first refinement and after each.
        kl_weight: `(rows,)`. Factor of log p(z_t) - log q(z_t); None: one.
        takes_kl: Whether -KL(q || p) in closed form stands for that.
        learner: What a proposal that learns in each step goes on with.
    """

    latent: Tensor
    log_transition: Tensor
    log_proposal: Tensor
    kl: Tensor
    emitted: Nested
    weigh: Callable[[Nested], Tensor]
    context: Nested = None
    log_twist: Tensor | None = None
    log_twist_before: Tensor | None = None
    free_energies: Tensor | None = None
    kl_weight: Tensor | None = None
    takes_kl: bool = False
    learner: Nested = None

    @property
    def log_emission(self) -> Tensor:
        """Log p(x_t | z_t, past) of what is observed, `(rows,)`."""
        return self.weigh(self.emitted)

    @property
    def log_ratio(self) -> Tensor:
        """What the log-weight gains but for the emission, `(rows,)`."""
        # log p(z_t | past) - log q(z_t | ...) + log r_t - log r_{t-1}
        ratio = self.log_transition - self.log_proposal
        if self.takes_kl:
            ratio = -self.kl
        if self.kl_weight is not None:
            ratio = self.kl_weight * ratio
        if self.log_twist is None:
            return ratio
        return ratio + self.log_twist - self.log_twist_before
