"""Convolutions along the batch or along the units of a layer.

Tensors are `(..., units, batch, channels)`.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_fivo.learned_rules.base import standardize
from keras_fivo.types import Tensor

BATCH, UNITS = -2, -3


def convolve(inputs: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Convolution with zeros beyond the ends, as one product.

    The gradients of a convolution are slow with XLA on a CPU; those of the
    product of a matrix with shifted inputs are not.

    Args:
        inputs: `(..., units, batch, channels)`.
        kernel: `(width, channels, filters)`.
        axis: `BATCH` or `UNITS`.
    """
    width, size = kernel.shape[0], ops.shape(inputs)[axis]
    rank = len(inputs.shape)
    padding = [(0, 0)] * rank
    padding[axis] = (width // 2, width // 2)
    padded = ops.pad(inputs, padding)
    after: tuple = (slice(None),) * (-1 - axis)
    shifted = [
        padded[(..., slice(start, start + size), *after)]
        for start in range(width)
    ]
    flat = ops.reshape(kernel, (-1, kernel.shape[-1]))
    return ops.matmul(ops.concatenate(shifted, -1), flat)


def truncated_normal(fan_in: int) -> Any:
    """Initializer of deviation 1 / sqrt(fan_in)."""
    return keras.initializers.TruncatedNormal(stddev=1 / math.sqrt(fan_in))


class Convolution(keras.layers.Layer):
    """A convolution, by default normalised over units and batch.

    Where it is normalised it has no bias, which would change nothing.

    Args:
        filters: Number of channels of the output.
        width: Number of neighbours that an output sees, itself among them.
        axis: What is convolved, `BATCH` or `UNITS`.
        activate: Whether to normalise, shift and rectify.
    """

    def __init__(
        self,
        filters: int,
        width: int = 3,
        axis: int = BATCH,
        activate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.width, self.axis = filters, width, axis
        self.activate = activate

    def build(self, channels: int) -> None:
        """Creates the weights for a number of channels."""
        self.kernel = self.add_weight(
            shape=(self.width, channels, self.filters),
            initializer=truncated_normal(self.width * channels),
            name="kernel",
        )
        self.offset = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="offset"
        )

    def call(self, inputs: Tensor) -> Tensor:
        convolved = convolve(inputs, self.kernel, self.axis)
        if not self.activate:
            return convolved + self.offset
        normal = standardize(convolved, (UNITS, BATCH), 1e-3)
        return ops.relu(normal + self.offset)


class HiddenBlock(keras.layers.Layer):
    """A convolution along the batch, and a residual pair along the units.

    Args:
        filters: Number of channels of the output.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.along_batch = Convolution(filters, name="along_batch")
        self.along_units = [
            Convolution(filters, axis=UNITS, name=f"along_units_{i}")
            for i in range(2)
        ]

    def build(self, channels: int) -> None:
        """Creates the weights for a number of channels."""
        self.along_batch.build(channels)
        for layer in self.along_units:
            layer.build(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        first = x = self.along_batch(inputs)
        for layer in self.along_units:
            x = layer(x)
        return first + x
