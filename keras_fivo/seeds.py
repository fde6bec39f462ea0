"""Seeds that are far from each other."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_fivo.types import SeedLike


def spread_seed(seed: int | None, purpose: str = "") -> int | None:
    """Returns a seed far from those of other seeds, and of other purposes.

    On PyTorch the seed of the n-th draw is the generator's seed plus n:
    neighbouring seeds would share noise.

    Args:
        seed: Integer, or None: to be drawn.
        purpose: What the noise is for.
    """
    if seed is None:
        return None
    digest = hashlib.sha256(f"{purpose}{int(seed)}".encode()).digest()
    return int.from_bytes(digest[:4], "little") % (2**31 - 1)


def stream(seed: SeedLike, purpose: str) -> SeedLike:
    """Returns the seed of one of several independent draws.

    Drawn with one and the same integer, all of them would share their bits.

    Args:
        seed: Integer, from which each purpose gets another one; a generator
            goes on with each draw and None takes a global one: both stay.
        purpose: What the noise is for.
    """
    if isinstance(seed, int | np.integer):
        return spread_seed(int(seed), f"{purpose}:")
    return seed


def seed_generator(seed: Any, purpose: str = "", argument: str = "seed") -> Any:
    """Returns a `SeedGenerator` for a user's seed.

    Raises:
        TypeError: If the seed is not an integer.
    """
    if not (seed is None or isinstance(seed, int | np.integer)):
        raise TypeError(
            f"`{argument}` must be an integer, or None to draw one. "
            f"Received: {argument}={seed!r}"
        )
    return keras.random.SeedGenerator(
        spread_seed(None if seed is None else int(seed), purpose)
    )


@contextlib.contextmanager
def drawing_from(generator: Any, seed: Any, purpose: str) -> Iterator[None]:
    """Makes a generator draw from a seed inside, and go on as before after.

    Args:
        generator: `SeedGenerator`.
        seed: Integer; None: the generator just goes on.
        purpose: What the noise is for.

    Raises:
        TypeError: If the seed is not an integer.
    """
    if seed is None:
        yield
        return
    before = keras.ops.convert_to_numpy(generator.state)
    start = keras.ops.convert_to_numpy(seed_generator(seed, purpose).state)
    generator.state.assign(start)
    try:
        yield
    finally:
        generator.state.assign(before)
