"""A mono recording that is read block by block."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from recipes.errors import FileError

BLOCK = 2**18  # samples that are in memory at a time
FULL_SCALE = 2**15  # one in a float file is this in 16-bit units
MAX_RATE = 768_000  # the filter that resamples grows with the rate


@dataclasses.dataclass(frozen=True)
class Recording:
    """One mono recording, in 16-bit units.

    Attributes:
        rate: int. Samples per second.
        num_samples: Number of samples.
        blocks: Function of no arguments that gives an iterator of int16
            arrays `(samples,)`, each of `BLOCK` samples at most.
    """

    rate: int
    num_samples: int
    blocks: Callable[[], Iterator[np.ndarray]]


def check_sizes(name, num_channels, num_samples):
    """Refuses a recording that is not mono, or has no samples.

    Args:
        name: What the recording is called.
        num_channels: Number of channels.
        num_samples: Number of samples.
    """
    if num_channels != 1:
        raise FileError(
            f"{name} must be mono. Received: {num_channels} channels."
        )
    if num_samples < 1:
        raise FileError(f"{name} has no samples. Received: num_samples=0.")


def check_rate(name, rate):
    """Refuses a number of samples per second that no recording has.

    Args:
        name: What has this rate.
        rate: Number of samples per second.
    """
    if not 1 <= rate <= MAX_RATE:
        raise FileError(
            f"{name} must have 1 to {MAX_RATE} samples per second. "
            f"Received: {rate}."
        )
