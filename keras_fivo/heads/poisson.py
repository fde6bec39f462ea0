"""A head for Poisson counts."""

import keras

from keras_fivo.distributions import Distribution, Poisson
from keras_fivo.heads.counting import CountHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class PoissonHead(CountHead):
    """Independent Poisson counts, given by the logs of their means.

    `adapt` starts the logs at those of the data's means, and spreads them as
    the data are.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    distribution_class = Poisson

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads logs of means, as `CountHead` says."""
        return Poisson(self.log_mean(outputs))
