"""Kullback-Leibler divergences in closed form."""

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.multivariate_normal import MultivariateNormal
from keras_fivo.distributions.normal import Normal
from keras_fivo.distributions.one_hot_categorical import OneHotCategorical
from keras_fivo.types import Tensor


def analytic_kl(
    first: Distribution, second: Distribution, required: bool = False
) -> Tensor:
    """Returns KL(first || second) by rows; NaN where no form is known.

    Args:
        first: The distribution that the divergence is from.
        second: The other one.
        required: Whether not to know a form is an error.

    Raises:
        TypeError: If there is none, and it is required.
    """
    if first is second:
        return ops.zeros_like(first.mean[..., 0])
    if isinstance(first, Normal) and isinstance(second, Normal):
        return first.kl(second)
    if isinstance(first, OneHotCategorical) and isinstance(
        second, OneHotCategorical
    ):
        return first.kl(second)
    one, other = _as_multivariate(first), _as_multivariate(second)
    if one is not None and other is not None:
        return one.kl(other)
    if required:
        raise TypeError(
            "The KL divergence is known in closed form between Normals, or "
            "one-hot classes, alone. "
            f"Received: one of {type(first).__name__} and "
            f"{type(second).__name__}. Take `kf.ELBO()`, without "
            "`analytic_kl`."
        )
    return ops.full_like(first.mean[..., 0], float("nan"))


def _as_multivariate(density: Distribution) -> MultivariateNormal | None:
    if isinstance(density, Normal):
        return MultivariateNormal.from_normal(density)
    return density if isinstance(density, MultivariateNormal) else None
