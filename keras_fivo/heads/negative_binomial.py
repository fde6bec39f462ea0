"""A head for counts more dispersed than the Poisson's."""

import keras
from keras import ops

from keras_fivo.distributions import Distribution, NegativeBinomial
from keras_fivo.heads.counting import CountHead
from keras_fivo.types import Tensor

_MIN_TOTAL_COUNT = 1e-3


@keras.saving.register_keras_serializable(package="keras_fivo")
class NegativeBinomialHead(CountHead):
    """Independent negative binomial counts of learned dispersion.

    `adapt` starts the logs of the means at those of the data. The total
    count is `1e-3 + softplus(raw + 1)`.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    outputs_per_entry = 2
    distribution_class = NegativeBinomial

    def parametrize(self, outputs: Tensor) -> Distribution:
        """First half the logs of the means, second the raw total counts."""
        log_mean, raw = ops.split(outputs, 2, axis=-1)
        total_count = _MIN_TOTAL_COUNT + ops.softplus(raw + 1.0)
        return NegativeBinomial(log_mean + self.initial_bias, total_count)
