"""Activations that Keras does not have."""

import keras
from keras import ops

from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
def clipped_leaky_relu(x: Tensor) -> Tensor:
    """Returns max(x, x / 3), clipped to [-3, 3].

    Reference:
        Fraccaro et al., 2016, "Sequential Neural Models with Stochastic
        Layers".
    """
    return ops.clip(ops.leaky_relu(x, 1 / 3), -3.0, 3.0)
