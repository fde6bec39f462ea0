"""The Bernoulli distribution."""

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.types import Tensor


class Bernoulli(Distribution):
    """Independent entries that are 1 with probability `sigmoid(logits)`.

    Args:
        logits: `(rows, ...)`. Log odds.
    """

    parameter_names = ("logits",)
    noise = "uniform"

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns `value * logits - softplus(logits)`, in nats."""
        return value * self.logits - ops.softplus(self.logits)

    def sample(self, noise: Tensor) -> Tensor:
        """Gives 1 where the uniform noise is below the probability, else 0."""
        return ops.cast(noise < self.mean, self.logits.dtype)

    @property
    def mean(self) -> Tensor:
        """Probability of a 1."""
        return ops.sigmoid(self.logits)

    @property
    def mode(self) -> Tensor:
        """1 where it is more probable than 0."""
        return ops.cast(self.logits > 0, self.logits.dtype)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Gives 0 up to the probability of a 0, then 1."""
        below = ops.sigmoid(-self.logits)
        return ops.cast(probability > below, self.logits.dtype)
