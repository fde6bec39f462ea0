"""The Laplace distribution."""

import math

from keras import ops

from keras_fivo.distributions.distribution import Distribution, Symmetric
from keras_fivo.distributions.special import lesser_tail, open_uniform
from keras_fivo.types import Tensor


class Laplace(Symmetric, Distribution):
    """Independent Laplace entries.

    Args:
        loc: `(rows, ...)`. Means.
        scale: `(rows, ...)`. Mean distances from the mean, positive.
    """

    parameter_names = ("loc", "scale")
    noise = "uniform"

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc = loc
        self.scale = scale

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry, in nats."""
        distance = ops.abs(value - self.loc) / self.scale
        return -distance - ops.log(self.scale) - math.log(2.0)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the quantile of the uniform noise."""
        return self.quantile(open_uniform(noise))

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the inverse of the cumulative distribution function."""
        tail, sign = lesser_tail(probability + ops.zeros_like(self.loc))
        return self.loc - self.scale * sign * ops.log(2.0 * tail)
