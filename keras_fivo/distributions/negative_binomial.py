"""The negative binomial distribution."""

from keras import ops

from keras_fivo.distributions.counting import find_count
from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.poisson import LARGEST_LOG_RATE
from keras_fivo.distributions.special import (
    deviance,
    open_uniform,
    stirling_remainder,
)
from keras_fivo.types import Tensor


class NegativeBinomial(Distribution):
    """Independent counts whose variance is mean + mean^2 / total_count.

    That of a Poisson whose rate follows a gamma distribution of shape
    `total_count`. Samples and quantiles are exact up to a standard deviation
    of 64, and beyond within 2e-4 of probability; see `find_count`.

    Args:
        log_mean: `(rows, ...)`. Logs of the means; values beyond +-40 count
            as +-40, which keeps all results finite.
        total_count: `(rows, ...)`. Positive, up to 1e10 in float32; large
            is near the Poisson.
    """

    parameter_names = ("log_mean", "total_count")
    noise = "uniform"

    def __init__(self, log_mean: Tensor, total_count: Tensor) -> None:
        self.log_mean = log_mean
        self.total_count = total_count

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return ops.exp(
            ops.clip(self.log_mean, -LARGEST_LOG_RATE, LARGEST_LOG_RATE)
        )

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of each entry, in nats."""
        shape, mean = self.total_count, self.mean
        total = shape + value
        # (shape / total) times a binomial probability, in Loader's form.
        log_binomial = (
            stirling_remainder(total)
            - stirling_remainder(shape)
            - stirling_remainder(value)
            - deviance(shape, total * (shape / (shape + mean)))
            - deviance(value, total * (mean / (shape + mean)))
        )
        return log_binomial - ops.log1p(value / shape)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the quantile of the uniform noise."""
        return self.quantile(open_uniform(noise))

    @property
    def mode(self) -> Tensor:
        """The most probable count."""
        below = ops.maximum(1.0 - 1.0 / self.total_count, 0.0)
        return ops.floor(self.mean * below)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the inverse of the cumulative distribution function."""
        mean = self.mean
        return find_count(
            probability + ops.zeros_like(mean),
            mean,
            1.0 / self.total_count + ops.zeros_like(mean),
            self.entry_log_prob,
        )
