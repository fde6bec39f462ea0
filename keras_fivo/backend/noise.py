"""Random numbers, where Keras' own are fast enough."""

from typing import Any

import keras

from keras_fivo.types import SeedLike, Shape, Tensor


def draw(kind: str, shape: Shape, seed: SeedLike, **limits: Any) -> Tensor:
    """Draws random numbers of the given shape.

    Args:
        kind: `"normal"`, standard Normal, or `"uniform"`, in [0, 1).
        shape: Sizes by axis.
        seed: Seed, or seed generator.
        **limits: `minval` and `maxval` of uniform numbers.
    """
    return getattr(keras.random, kind)(shape, seed=seed, **limits)
