"""A head for Normal events."""

import keras
from keras import ops

from keras_fivo.distributions import Normal
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class NormalHead(ScaledHead):
    """A diagonal Normal, of a mean and a scale as `ScaledHead` says.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        min_scale: Smallest standard deviation, in those of the data that
            `adapt` saw. 0 lets an emission collapse on its data.
        scale_bias: Added to the raw standard deviation before the softplus.
        max_scale: Largest standard deviation, likewise, approached smoothly.
            Default: no limit.
        adaptive: Whether `adapt` gives the head the location and the scale
            of the data.
        scale_form: `"softplus"` or `"log_variance"`; see `ScaledHead`.
    """

    outputs_per_entry = 2
    distribution_class = Normal

    def parametrize(self, outputs: Tensor) -> Normal:
        """Reads means from the first half, raw scales from the second."""
        loc, raw = ops.split(outputs, 2, axis=-1)
        return Normal(self.place(loc), self.positive(raw))
