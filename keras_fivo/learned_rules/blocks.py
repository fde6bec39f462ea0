"""Convolutions along the batch or along the units of a layer.

Tensors are `(..., units, batch, channels)`.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.learned_rules.base import standardize
from keras_fivo.types import Tensor

BATCH, UNITS = -2, -3
# Channels and filters from which on products take longer than what goes
# before and after them.
_MANY = 32


def convolve(inputs: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Convolves, with zeros beyond the ends, by products of matrices.

    The gradients of a convolution are slow with XLA on a CPU; those of
    products with shifted inputs are not.

    Args:
        inputs: `(..., units, batch, channels)`.
        kernel: `(width, channels, filters)`.
        axis: `BATCH` or `UNITS`.
    """
    axis = len(inputs.shape) + axis
    width, *channels = kernel.shape
    known = isinstance(inputs.shape[axis], int)
    if width == 3 and min(channels) >= _MANY and known and backend.FUSES:
        return _by_tiles(inputs, kernel, axis)
    size = ops.shape(inputs)[axis]
    padded = _pad(inputs, axis, width // 2, width // 2)
    shifted = [
        _along(padded, axis, slice(start, start + size))
        for start in range(width)
    ]
    flat = ops.reshape(kernel, (-1, kernel.shape[-1]))
    return ops.matmul(ops.concatenate(shifted, -1), flat)


def _by_tiles(inputs: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Convolves by a kernel of width 3 with half of the multiplications.

    Four neighbours at a time: the product of two polynomials, from its
    values at 0, 1, -1, 2, -2 and infinity (Winograd, 1980, "Arithmetic
    Complexity of Computations"; F(4, 3) in Lavin and Gray, 2016).

    Args:
        inputs: `(..., units, batch, channels)`.
        kernel: `(3, channels, filters)`.
        axis: From the front; its size is known.
    """
    size = inputs.shape[axis]
    tiles = math.ceil(size / 4)
    before, after = inputs.shape[:axis], inputs.shape[axis + 1 :]
    # (..., tiles + 1, 4, ...): four, and two of the next tile.
    split = ops.reshape(
        _pad(inputs, axis, 1, 4 * tiles + 3 - size),
        _known((*before, tiles + 1, 4, *after)),
    )
    here = _along(split, axis, slice(0, tiles))
    following = _along(split, axis, slice(1, tiles + 1))
    x = [_along(here, axis + 1, i) for i in range(4)]
    x += [_along(following, axis + 1, i) for i in range(2)]
    even, odd = x[4] - 4.0 * x[2], x[3] - 4.0 * x[1]
    even_2, odd_2 = x[4] - x[2], 2.0 * (x[3] - x[1])
    values = [4.0 * x[0] - 5.0 * x[2] + x[4], even + odd, even - odd]
    values += [even_2 + odd_2, even_2 - odd_2]
    values += [4.0 * x[1] - 5.0 * x[3] + x[5]]
    stacked = ops.stack(values)
    # (6, rows, channels) @ (6, channels, filters)
    rows = ops.reshape(stacked, (6, -1, inputs.shape[-1]))
    product = ops.matmul(rows, _kernel_values(kernel))
    filters = kernel.shape[-1]
    shape = _known((*before, tiles, *after[:-1], filters))
    y = [ops.reshape(product[i], shape) for i in range(6)]
    even, odd = y[1] + y[2], y[1] - y[2]
    even_2, odd_2 = y[3] + y[4], y[3] - y[4]
    four = [y[0] + even + even_2, odd + 2.0 * odd_2]
    four += [even + 4.0 * even_2, odd + 8.0 * odd_2 + y[5]]
    shape = _known((*before, 4 * tiles, *after[:-1], filters))
    joined = ops.reshape(ops.stack(four, axis + 1), shape)
    return _along(joined, axis, slice(0, size))


def _kernel_values(kernel: Tensor) -> Tensor:
    """Returns values of the polynomial of a kernel of width 3, `(6, ...)`."""
    first, middle, last = kernel[0], kernel[1], kernel[2]
    even, odd = -(first + last) / 6.0, middle / 6.0
    even_2, odd_2 = first / 24.0 + last / 6.0, middle / 12.0
    values = [first / 4.0, even - odd, even + odd]
    return ops.stack([*values, even_2 + odd_2, even_2 - odd_2, last])


def _pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Adds zeros before and after, along an axis."""
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (before, after)
    return ops.pad(x, padding)


def _along(x: Tensor, axis: int, part: int | slice) -> Tensor:
    """Takes a part along an axis."""
    return x[(*[slice(None)] * axis, part)]


def _known(shape: tuple) -> tuple:
    """Returns a shape to reshape to; at most one size is not known."""
    return tuple(-1 if size is None else size for size in shape)


def truncated_normal(fan_in: int) -> Any:
    """Returns an initializer of deviation 1 / sqrt(fan_in)."""
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
