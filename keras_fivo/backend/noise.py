"""Random numbers, where Keras' own are fast enough."""

from typing import Any

import keras
import numpy as np

from keras_fivo.types import SeedLike, Shape, Tensor


def draw(kind: str, shape: Shape, seed: SeedLike, **limits: Any) -> Tensor:
    """Draws random numbers of the given shape.

    Args:
        kind: `"normal"`, standard Normal, or `"uniform"`, in [0, 1).
        shape: Sizes by axis.
        seed: Seed, or seed generator; or a NumPy generator, whose numbers are
            the same on all backends.
        **limits: `minval` and `maxval` of uniform numbers.
    """
    if isinstance(seed, np.random.Generator):
        sizes: Any = tuple(shape)
        if kind == "normal":
            return keras.ops.convert_to_tensor(
                seed.standard_normal(sizes, np.float32)
            )
        low, high = limits.get("minval", 0.0), limits.get("maxval", 1.0)
        drawn = low + (high - low) * seed.random(sizes, np.float32)
        return keras.ops.convert_to_tensor(drawn.astype("float32"))
    return getattr(keras.random, kind)(shape, seed=seed, **limits)
