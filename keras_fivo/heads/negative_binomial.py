"""A head for counts more dispersed than the Poisson's."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.distributions import Distribution, NegativeBinomial
from keras_fivo.heads.counting import CountHead
from keras_fivo.types import Tensor

_MIN_TOTAL_COUNT = 1e-3
_START = _MIN_TOTAL_COUNT + np.log1p(np.e)
"""What the network gives at first: its raw outputs are near 0."""


@keras.saving.register_keras_serializable(package="keras_fivo")
class NegativeBinomialHead(CountHead):
    """Independent negative binomial counts of learned dispersion.

    `adapt` starts the logs of the means at those of the data, and the total
    counts where the variance is the data's. The total count is
    `dispersion * (1e-3 + softplus(raw + 1))`; `dispersion` is a weight that
    is not trained, `(event_dim,)`, 1 until `adapt`.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    outputs_per_entry = 2
    distribution_class = NegativeBinomial

    def build_weights(self) -> None:
        """Creates the weights; see `Head.build_weights`."""
        super().build_weights()
        self.dispersion = self.add_data_weight("dispersion", "ones")

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Starts from the mean and the variance of the data."""
        super().adapt(mean, deviation)
        if deviation is not None:
            mean = np.maximum(np.asarray(mean, "float64"), 1e-4)
            # variance = mean + mean^2 / total_count
            excess = np.square(np.asarray(deviation, "float64")) - mean
            total = np.square(mean) / np.maximum(excess, 1e-4 * mean)
            self.dispersion.assign(np.clip(total / _START, 1e-2, 1e3))

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads the means from the first half, total counts from the second."""
        raw_mean, raw = ops.split(outputs, 2, axis=-1)
        total_count = _MIN_TOTAL_COUNT + ops.softplus(raw + 1.0)
        return NegativeBinomial(
            self.log_mean(raw_mean),
            ops.multiply(self.dispersion, total_count),
        )
