"""Writes sounds."""

import pathlib
import wave
from typing import Any

import numpy as np

from recipes.storage import atomic_path


def write_wav(path: str | pathlib.Path, samples: Any, rate: int) -> None:
    """Writes a mono recording of 16 bits.

    Args:
        path: Path of the file, which appears whole or not at all.
        samples: int16 array `(samples,)`.
        rate: Samples per second.
    """
    with atomic_path(path) as partial, wave.open(str(partial), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
