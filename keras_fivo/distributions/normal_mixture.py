"""Mixtures of Normal distributions."""

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.mixture import best_candidate, choose_component
from keras_fivo.distributions.special import HALF_LOG_TWO_PI, normal_cdf
from keras_fivo.types import Tensor


class NormalMixture(Distribution):
    """Independent entries, each of a mixture of Normals of its own.

    A sample takes two Normal numbers by entry: one chooses the component,
    the other is scaled.

    Args:
        logits: `(rows, ..., components)`. Log weights, up to a constant.
        loc: `(rows, ..., components)`. Means.
        scale: `(rows, ..., components)`. Standard deviations, positive.
    """

    parameter_names = ("logits", "loc", "scale")
    noise_per_entry = 2

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.logits = logits
        self.loc = loc
        self.scale = scale

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry, in nats."""
        residual = (ops.expand_dims(value, -1) - self.loc) / self.scale
        components = ops.log_softmax(self.logits, axis=-1) - ops.log(self.scale)
        components = components - 0.5 * ops.square(residual) - HALF_LOG_TWO_PI
        return ops.logsumexp(components, axis=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """Turns standard Normal noise `(..., 2 * features)` into a sample."""
        first, second = ops.split(noise, 2, axis=-1)
        chosen = choose_component(self.logits, normal_cdf(first))
        loc = ops.sum(chosen * self.loc, axis=-1)
        return loc + ops.sum(chosen * self.scale, axis=-1) * second

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the components."""
        weights = ops.softmax(self.logits, axis=-1)
        return ops.sum(weights * self.loc, axis=-1)

    @property
    def mode(self) -> Tensor:
        """The component mean of the highest density.

        It is the mode where the components lie far apart, and near it where
        they do not.
        """
        columns = [
            self.entry_log_prob(self.loc[..., i])
            for i in range(int(self.loc.shape[-1]))
        ]
        return best_candidate(ops.stack(columns, axis=-1), self.loc)
