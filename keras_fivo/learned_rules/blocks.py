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
    """Convolves by a kernel of width 3 with less than half of the products.

    Six neighbours at a time: the product of two polynomials, from its values
    at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity (Winograd, 1980, "Arithmetic
    Complexity of Computations"; F(6, 3) in Lavin and Gray, 2016).

    Args:
        inputs: `(..., units, batch, channels)`.
        kernel: `(3, channels, filters)`.
        axis: From the front; its size is known.
    """
    size = inputs.shape[axis]
    tiles = math.ceil(size / 6)
    before, after = inputs.shape[:axis], inputs.shape[axis + 1 : -1]
    # (..., tiles + 1, 6, ...): six, and two of the next tile.
    split = ops.reshape(
        _pad(inputs, axis, 1, 6 * tiles + 5 - size),
        _known((*before, tiles + 1, 6, *after, inputs.shape[-1])),
    )
    places = [(slice(0, tiles), i) for i in range(6)]
    places += [(slice(1, tiles + 1), i) for i in range(2)]
    x = [split[(*[slice(None)] * axis, *place)] for place in places]
    # (8, rows, channels) @ (8, channels, filters)
    rows = ops.reshape(ops.stack(_values(x)), (8, -1, inputs.shape[-1]))
    product = ops.matmul(rows, _kernel_values(kernel))
    shape = _known((*before, tiles, *after, kernel.shape[-1]))
    y = [ops.reshape(product[i], shape) for i in range(8)]
    shape = _known((*before, 6 * tiles, *after, kernel.shape[-1]))
    joined = ops.reshape(ops.stack(_six(y), axis + 1), shape)
    return _along(joined, axis, slice(0, size))


def _values(x: list) -> list:
    """Returns values at the eight points, of eight neighbours."""
    even = [
        x[2] - 4.25 * x[4] + x[6],
        0.25 * x[2] - 1.25 * x[4] + x[6],
        4.0 * x[2] - 5.0 * x[4] + x[6],
    ]
    odd = [
        x[1] - 4.25 * x[3] + x[5],
        0.5 * x[1] - 2.5 * x[3] + 2.0 * x[5],
        2.0 * x[1] - 2.5 * x[3] + 0.5 * x[5],
    ]
    pairs = [(a + b, a - b) for a, b in zip(even, odd, strict=True)]
    first = x[0] - x[6] + 5.25 * (x[4] - x[2])
    last = x[7] - x[1] + 5.25 * (x[3] - x[5])
    return [first, *(value for pair in pairs for value in pair), last]


def _six(y: list) -> list:
    """Returns six outputs, of the products at the eight points."""
    even = [y[i] + y[i + 1] for i in (1, 3, 5)]
    odd = [y[i] - y[i + 1] for i in (1, 3, 5)]
    six = []
    for power in range(6):
        # Of 1, 2 and 1/2, which stand for points of either sign.
        a, b, c = odd if power % 2 else even
        six.append(a + 2.0**power * b + 0.5**power * c)
    return [y[0] + six[0], *six[1:5], six[5] + y[7]]


def _kernel_values(kernel: Tensor) -> Tensor:
    """Returns values of the polynomial of a kernel of width 3, `(8, ...)`."""
    first, middle, last = kernel[0], kernel[1], kernel[2]
    values = [first]
    for point, scale in ((1.0, -2 / 9), (2.0, 1 / 90), (0.5, 32 / 45)):
        even, odd = first + point**2 * last, point * middle
        values += [scale * (even + odd), scale * (even - odd)]
    return ops.stack([*values, last])


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
