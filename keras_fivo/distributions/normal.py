"""The diagonal Normal distribution."""

from keras import ops

from keras_fivo.distributions.distribution import (
    Distribution,
    Symmetric,
    sum_entries,
)
from keras_fivo.distributions.special import HALF_LOG_TWO_PI, normal_quantile
from keras_fivo.types import Tensor


class Normal(Symmetric, Distribution):
    """Independent Normal entries.

    Args:
        loc: `(rows, ...)`. Means.
        scale: `(rows, ...)`. Standard deviations, positive.
    """

    parameter_names = ("loc", "scale")

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc = loc
        self.scale = scale

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry, in nats."""
        residual = (value - self.loc) / self.scale
        return (
            -0.5 * ops.square(residual) - ops.log(self.scale) - HALF_LOG_TWO_PI
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Returns `loc + scale * noise`, for standard Normal noise."""
        return self.loc + self.scale * noise

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Samples; gives the log density too, not dividing by the scale."""
        entries = -0.5 * ops.square(noise) - ops.log(self.scale)
        return self.sample(noise), sum_entries(entries - HALF_LOG_TWO_PI)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the inverse of the distribution function."""
        probability = probability + ops.zeros_like(self.loc)
        return self.loc + self.scale * normal_quantile(probability)

    def kl(self, other: "Normal") -> Tensor:
        """Returns the KL divergence KL(self || other), `(rows,)`, in nats."""
        ratio = self.scale / other.scale
        distance = (self.loc - other.loc) / other.scale
        entries = 0.5 * (ops.square(ratio) + ops.square(distance) - 1.0)
        return sum_entries(entries - ops.log(ratio))
