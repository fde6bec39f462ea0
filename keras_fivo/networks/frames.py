"""Convolutional networks from frames to vectors, and back."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks.sizes import check_entries
from keras_fivo.types import Tensor

VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))
"""Filters of the convolutions of the paper's networks, by block."""

_SLOPE = 0.2
_MOST_GROUPS = 16


def check_normalization(normalization: Any) -> Any:
    """Returns what stands for the normalisation of a convolution.

    Args:
        normalization: `"group"`, `"layer"`, None, or a Keras layer of which
            each convolution gets a copy.

    Raises:
        ValueError: For a layer whose statistics mix rows, or another name.
        TypeError: For what is no layer.
    """
    mixes = isinstance(normalization, keras.layers.BatchNormalization)
    if mixes or normalization in ("batch", "batch_normalization"):
        raise ValueError(
            "`normalization` must not mix rows: rows are particles and steps "
            "of a sequence, which would see each other, and later frames. "
            f"Received: normalization={normalization!r}. Use 'group' "
            "(GroupNormalization) or 'layer' (LayerNormalization)."
        )
    if normalization is None or normalization in ("group", "layer"):
        return normalization
    if isinstance(normalization, str):
        raise ValueError(
            "`normalization` must be 'group', 'layer', a Keras layer or None. "
            f"Received: normalization={normalization!r}"
        )
    if not isinstance(normalization, keras.layers.Layer):
        raise TypeError(
            "`normalization` must be 'group', 'layer', a Keras layer or None. "
            f"Received: normalization={normalization!r}"
        )
    return normalization


class _Block(keras.layers.Layer):
    """Convolutions of 3 x 3, each normalised and rectified."""

    def __init__(
        self, filters: Sequence[int], normalization: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = [int(number) for number in filters]
        self.normalization = normalization

    def build(self, input_shape: tuple) -> None:
        """Creates the weights, for rows `(None, height, width, channels)`."""
        *positions, channels = input_shape
        self.convolutions, self.normalizations = [], []
        for i, number in enumerate(self.filters):
            check_entries(f"The block {self.name!r}", 9 * channels, number)
            convolution = keras.layers.Conv2D(
                number,
                3,
                padding="same",
                data_format="channels_last",
                # A bias before a normalisation that centres does nothing.
                use_bias=self.normalization is None,
                name=f"convolution_{i}",
                dtype=self.dtype_policy,
            )
            convolution.build((*positions, channels))
            self.convolutions.append(convolution)
            layer = self._normalization(i, number)
            if layer is not None:
                layer.build((*positions, number))
            self.normalizations.append(layer)
            channels = number

    def _normalization(self, index: int, channels: int) -> Any:
        options = {
            "name": f"normalization_{index}",
            "dtype": self.dtype_policy,
        }
        if self.normalization is None:
            return None
        if self.normalization == "group":
            groups = math.gcd(_MOST_GROUPS, channels)
            return keras.layers.GroupNormalization(groups, **options)
        if self.normalization == "layer":
            return keras.layers.LayerNormalization(**options)
        config = {**self.normalization.get_config(), "name": options["name"]}
        return type(self.normalization).from_config(config)

    def call(self, x: Tensor) -> Tensor:
        """Returns `(rows, height, width, filters[-1])`."""
        pairs = zip(self.convolutions, self.normalizations, strict=True)
        for convolution, normalization in pairs:
            x = convolution(x)
            if normalization is not None:
                x = normalization(x)
            x = ops.leaky_relu(x, _SLOPE)
        return x


class FrameEncoder(BuiltByOwner, keras.layers.Layer):
    """Encodes frames: blocks of convolutions, halved in size after each.

    A last dense layer reads all positions, and ends in a tanh.

    Args:
        blocks: Numbers of filters of the convolutions of each block.
        units: Size of an encoded frame.
        normalization: As from `check_normalization`.

    Reference:
        Denton and Fergus, 2018, "Stochastic Video Generation with a Learned
        Prior", Section 4.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        units: int,
        normalization: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.blocks = [
            _Block(
                filters,
                normalization,
                name=f"block_{i}",
                dtype=self.dtype_policy,
            )
            for i, filters in enumerate(blocks)
        ]
        self.dense = keras.layers.Dense(
            units, activation="tanh", name="dense", dtype=self.dtype_policy
        )

    def build(self, frame_shape: Sequence[int]) -> None:
        """Creates the weights.

        Args:
            frame_shape: `(height, width, channels)`.

        Raises:
            ValueError: If the frame cannot be halved so often.
        """
        height, width, channels = (int(size) for size in frame_shape)
        self.skip_shapes = []
        for block in self.blocks:
            if height % 2 or width % 2:
                times = 2 ** len(self.blocks)
                raise ValueError(
                    "The height and the width of frames must be multiples of "
                    f"{times}, as each of {len(self.blocks)} blocks halves "
                    f"them. Received: frames of shape {tuple(frame_shape)}"
                )
            block.build((None, height, width, channels))
            channels = block.filters[-1]
            self.skip_shapes.append((height, width, channels))
            height, width = height // 2, width // 2
        self.top_shape = (height, width, channels)
        size = math.prod(self.top_shape)
        check_entries("The encoder of frames", size, self.dense.units)
        self.dense.build((None, size))

    def call(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encodes frames `(rows, height, width, channels)`.

        Returns:
            `(rows, units)`, and what each block gave, for skip connections.
        """
        x, skips = ops.cast(frames, self.compute_dtype), []
        for block in self.blocks:
            x = block.call(x)
            skips.append(x)
            x = _halved(x)
        # (rows, height, width, channels) -> (rows, size)
        x = ops.reshape(x, (-1, math.prod(self.top_shape)))
        return self.dense(x), skips


class FrameDecoder(BuiltByOwner, keras.layers.Layer):
    """Turns vectors into frames: a `FrameEncoder` the other way round.

    A dense layer gives the smallest positions; before each block the size is
    doubled, and a last convolution gives the outputs.

    Args:
        encoder: The encoder whose blocks it mirrors.
        output_dim: Number of outputs at each position.
        skips: Whether each block also reads what the encoder's block of its
            size gave.
        normalization: As from `check_normalization`.
    """

    def __init__(
        self,
        encoder: FrameEncoder,
        output_dim: int,
        skips: bool = False,
        normalization: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.skips = bool(skips)
        self.top_shape = encoder.top_shape
        self.skip_shapes = encoder.skip_shapes[::-1]
        options = {"dtype": self.dtype_policy}
        self.dense = keras.layers.Dense(
            math.prod(self.top_shape), name="dense", **options
        )
        # A block ends with the channels that the next one begins with.
        filters = [block.filters[::-1] for block in encoder.blocks[::-1]]
        ends = [found[0] for found in (*filters[1:], filters[-1])]
        self.blocks = [
            _Block(
                [*found[:-1], end], normalization, name=f"block_{i}", **options
            )
            for i, (found, end) in enumerate(zip(filters, ends, strict=True))
        ]
        self.last = keras.layers.Conv2D(
            output_dim,
            3,
            padding="same",
            data_format="channels_last",
            name="last",
            **options,
        )

    def build(self, input_dim: int) -> None:
        """Creates the weights for vectors of this size."""
        check_entries("The decoder of frames", input_dim, self.dense.units)
        self.dense.build((None, input_dim))
        channels = self.top_shape[-1]
        for block, shape in zip(self.blocks, self.skip_shapes, strict=True):
            *positions, skipped = shape
            read = channels + skipped if self.skips else channels
            block.build((None, *positions, read))
            channels = block.filters[-1]
        self.last.build((None, *positions, channels))

    def call(self, vectors: Tensor, skips: Sequence[Tensor] = ()) -> Tensor:
        """Decodes vectors `(rows, size)`.

        Args:
            vectors: What frames are made of.
            skips: As from the encoder, where they are read.

        Returns:
            `(rows, height, width, output_dim)`.
        """
        x = ops.leaky_relu(self.dense(vectors), _SLOPE)
        x = ops.reshape(x, (-1, *self.top_shape))
        for i, block in enumerate(self.blocks):
            x = _doubled(x)
            if self.skips:
                skip = ops.cast(skips[-i - 1], x.dtype)
                x = ops.concatenate([x, skip], axis=-1)
            x = block.call(x)
        return self.last(x)


def _halved(x: Tensor) -> Tensor:
    """Takes the largest of each two by two positions."""
    height, width, channels = (int(size) for size in x.shape[1:])
    # By pairs: quicker than pooling on JAX, where the gradient of a maximum
    # over axes divides by the number of entries that equal it, none if XLA
    # computes them again with another rounding.
    x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    x = ops.maximum(x[:, :, 0], x[:, :, 1])
    return ops.maximum(x[:, :, :, 0], x[:, :, :, 1])


def _doubled(x: Tensor) -> Tensor:
    """Repeats each position two by two times."""
    height, width, channels = (int(size) for size in x.shape[1:])
    rows = ops.shape(x)[0]
    # (rows, height, width, ...) -> (rows, height, 1, width, 1, ...)
    x = ops.reshape(x, (-1, height, 1, width, 1, channels))
    x = ops.broadcast_to(x, (rows, height, 2, width, 2, channels))
    return ops.reshape(x, (-1, 2 * height, 2 * width, channels))
