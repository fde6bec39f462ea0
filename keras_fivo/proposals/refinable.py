"""A diagonal Normal that is refined, and what refinements do with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from keras_fivo.distributions import (
    Distribution,
    MultivariateNormal,
    Normal,
)
from keras_fivo.types import Tensor


@dataclass(frozen=True)
class Refinable:
    """A diagonal Normal that is refined, `(rows, latent_dim)` each.

    Attributes:
        mean: Means.
        log_variance: Logs of variances.
    """

    mean: Tensor
    log_variance: Tensor


def normal_of(mean: Tensor, log_variance: Tensor) -> Normal:
    """Returns the distribution of these moments."""
    return Normal(mean, ops.exp(0.5 * log_variance))


def moments_of(density: Distribution, which: str) -> Refinable:
    """Returns means, and logs of the variances of entries.

    Raises:
        TypeError: For what is no Normal.
    """
    if type(density) is Normal:
        return Refinable(density.loc, 2.0 * ops.log(density.scale))
    if isinstance(density, MultivariateNormal):
        factor = density.scale_tril
        variance = ops.sum(ops.square(factor), axis=-1)
        variance = variance + ops.zeros_like(density.loc)
        return Refinable(density.loc, ops.log(variance))
    raise TypeError(
        f"IterativeProposal needs a {which} with mean and variance, a Normal: "
        "it refines those, and takes the KL divergence from the transition "
        f"in closed form. Received: a {which} of class "
        f"{type(density).__name__}. Take another proposal."
    )


def where(condition: Tensor, first: Refinable, other: Refinable) -> Refinable:
    """Takes the first in the rows of a condition, the other elsewhere."""
    rows = ops.expand_dims(condition, -1)
    return Refinable(
        ops.where(rows, first.mean, other.mean),
        ops.where(rows, first.log_variance, other.log_variance),
    )


def detached(q: Refinable) -> Refinable:
    """Returns the same, as a constant."""
    return Refinable(
        ops.stop_gradient(q.mean), ops.stop_gradient(q.log_variance)
    )


def linear_term(q: Refinable, gradient: Refinable) -> Tensor:
    """Returns zero, whose derivative by q is the gradient; `(rows,)`."""
    held = detached(q)
    moved = gradient.mean * (q.mean - held.mean)
    moved += gradient.log_variance * (q.log_variance - held.log_variance)
    return ops.sum(moved, axis=-1)


def stacked(found: Sequence[Refinable]) -> Refinable:
    """Stacks all of them, one below the other."""
    return Refinable(
        ops.concatenate([q.mean for q in found], axis=0),
        ops.concatenate([q.log_variance for q in found], axis=0),
    )
