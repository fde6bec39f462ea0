"""The Poisson distribution."""

from keras import ops

from keras_fivo.distributions.counting import find_count
from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.special import (
    deviance,
    open_uniform,
    stirling_remainder,
)
from keras_fivo.types import Tensor

LARGEST_LOG_RATE = 40.0
"""Keeps rates, and in gradients their squares, well inside float32."""


class Poisson(Distribution):
    """Independent counts.

    Samples and quantiles are exact, up to what float32 holds; see
    `find_count`.

    Args:
        log_rate: `(rows, ...)`. Logs of the means; values beyond +-40 count
            as +-40, which keeps all results finite.
    """

    parameter_names = ("log_rate",)
    noise = "uniform"

    def __init__(self, log_rate: Tensor) -> None:
        self.log_rate = log_rate

    @property
    def rate(self) -> Tensor:
        """The mean."""
        return ops.exp(
            ops.clip(self.log_rate, -LARGEST_LOG_RATE, LARGEST_LOG_RATE)
        )

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of each entry, in nats."""
        return -deviance(value, self.rate) - stirling_remainder(value)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the quantile of the uniform noise."""
        return self.quantile(open_uniform(noise))

    @property
    def mean(self) -> Tensor:
        """The rate."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """The largest whole number that is not above the rate."""
        return ops.floor(self.rate)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the inverse of the cumulative distribution function."""
        rate = self.rate
        none = ops.zeros_like(rate)
        return find_count(probability + none, rate, none, self.entry_log_prob)
