"""A head for Laplace events."""

import keras
from keras import ops

from keras_fivo.distributions import Laplace
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LaplaceHead(ScaledHead):
    """Independent Laplace entries.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        **kwargs: `min_scale`, `scale_bias`, `max_scale` and `adaptive` of
            `ScaledHead`, and what every layer takes.
    """

    outputs_per_entry = 2
    distribution_class = Laplace

    def parametrize(self, outputs: Tensor) -> Laplace:
        """Reads means from the first half, raw scales from the second."""
        loc, raw = ops.split(outputs, 2, axis=-1)
        return Laplace(self.place(loc), self.positive(raw))
