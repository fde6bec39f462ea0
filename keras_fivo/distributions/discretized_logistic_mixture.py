"""Mixtures of logistic distributions over equally spaced values."""

import numpy as np
from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.mixture import best_candidate, choose_component
from keras_fivo.distributions.special import open_uniform
from keras_fivo.types import Tensor


class DiscretizedLogisticMixture(Distribution):
    """Independent entries, each one of `num_bins` values from low to high.

    Each value has the probability of the mixture between half a bin below
    and half a bin above it; the first and the last take the tails. Other
    values count as the nearest of these. A sample takes two uniforms by
    entry: one chooses the component, the other the value.

    Args:
        logits: `(rows, ..., components)`. Log weights, up to a constant.
        loc: `(rows, ..., components)`. Means of the logistics.
        scale: `(rows, ..., components)`. Scales of the logistics, positive.
        low: The first value.
        high: The last value.
        num_bins: Number of values.

    Reference:
        Salimans et al., 2017, "PixelCNN++".
    """

    parameter_names = ("logits", "loc", "scale")
    noise = "uniform"
    noise_per_entry = 2

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        low: float,
        high: float,
        num_bins: int,
    ) -> None:
        self.logits = logits
        self.loc = loc
        self.scale = scale
        self.low = low
        self.high = high
        self.num_bins = num_bins

    @property
    def constants(self) -> dict:
        """The values."""
        return {
            "low": self.low,
            "high": self.high,
            "num_bins": self.num_bins,
        }

    @property
    def width(self) -> float:
        """Distance of neighbouring values."""
        return (self.high - self.low) / (self.num_bins - 1)

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of each entry, in nats."""
        index = self._index(ops.expand_dims(value, -1))
        distance = (self.low + self.width * index - self.loc) / self.scale
        window = self.width / self.scale
        log_below = ops.log_sigmoid(distance + 0.5 * window)
        log_above = ops.log_sigmoid(0.5 * window - distance)
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))
        log_inside = log_below + log_above + ops.log(-ops.expm1(-1.0 * window))
        components = ops.where(
            index < 0.5,
            log_below,
            ops.where(index > self.num_bins - 1.5, log_above, log_inside),
        )
        weights = ops.log_softmax(self.logits, axis=-1)
        return ops.logsumexp(weights + components, axis=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the nearest of the values to a sample of the mixture.

        Args:
            noise: Uniform, `(..., 2 * features)`.
        """
        first, second = ops.split(noise, 2, axis=-1)
        chosen = choose_component(self.logits, first)
        uniform = open_uniform(second)
        logit = ops.log(uniform) - ops.log1p(-uniform)
        loc = ops.sum(chosen * self.loc, axis=-1)
        value = loc + ops.sum(chosen * self.scale, axis=-1) * logit
        return self.low + self.width * self._index(value)

    @property
    def mean(self) -> Tensor:
        """The mean of the mixture, cut off at the first and last value.

        Rounding changes it by less than half the distance of the values.
        """
        # E[clip(x)] = low + the integral of P(x > t) from low to high
        above = ops.softplus((self.loc - self.low) / self.scale)
        beyond = ops.softplus((self.loc - self.high) / self.scale)
        components = self.low + self.scale * (above - beyond)
        weights = ops.softmax(self.logits, axis=-1)
        return ops.sum(weights * components, axis=-1)

    @property
    def mode(self) -> Tensor:
        """The most probable of the components' modes and the two ends."""
        values = self.low + self.width * self._index(self.loc)
        end = ops.ones_like(values[..., :1])
        values = ops.concatenate([values, self.low * end, self.high * end], -1)
        columns = [
            self.entry_log_prob(values[..., i])
            for i in range(int(values.shape[-1]))
        ]
        return best_candidate(ops.stack(columns, axis=-1), values)

    def _index(self, value: Tensor) -> Tensor:
        index = ops.round((value - self.low) / self.width)
        return ops.clip(index, 0.0, float(np.float32(self.num_bins - 1)))
