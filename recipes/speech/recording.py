"""A mono recording that is read block by block."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 2**18  # samples that are in memory at a time
FULL_SCALE = 2**15  # one in a float file is this in 16-bit units


class RecordingError(ValueError):
    """A recording that cannot be read, whatever the settings."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """One mono recording, in 16-bit units.

    Attributes:
        rate: int. Samples per second.
        num_samples: int.
        blocks: Function of no arguments that gives an iterator of int16
            arrays `(samples,)`, each of `BLOCK` samples at most.
    """

    rate: int
    num_samples: int
    blocks: Callable[[], Iterator[np.ndarray]]


def check_mono(path, num_channels):
    """Refuses what is not mono."""
    if num_channels != 1:
        raise RecordingError(
            f"{path} must be mono. Received: {num_channels} channels."
        )


def check_not_empty(path, num_samples):
    """Refuses what has no samples."""
    if num_samples < 1:
        raise RecordingError(f"{path} has no samples. Received: num_samples=0.")


def pcm_blocks(path, start, num_samples, dtype):
    """Reads 16-bit samples of a file.

    Args:
        path: Path.
        start: int. The byte at which the samples begin.
        num_samples: int. How many there must be.
        dtype: str. `"<i2"` or `">i2"`.

    Yields:
        int16 arrays `(samples,)`.

    Raises:
        RecordingError: The file ends before them.
    """
    with open(path, "rb") as file:
        file.seek(start)
        remaining = num_samples
        while remaining:
            block = np.fromfile(file, dtype, min(BLOCK, remaining))
            if not len(block):
                raise RecordingError(
                    f"{path} is truncated. Received: "
                    f"{num_samples - remaining} of {num_samples} samples."
                )
            remaining -= len(block)
            yield block.astype("int16", copy=False)
