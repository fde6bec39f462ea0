"""Sequences of frames that are made, or cut, when they are asked for."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recipes.data.splits import SPLITS as SPLITS
from recipes.errors import RecipeError


@dataclass(frozen=True)
class Clips:
    """Sequences of frames, which look like a list of arrays.

    Attributes:
        lengths: Number of frames of each.
        features: `(height, width, channels)`.
        read: Gives the frames of one, `(frames, height, width, channels)`,
            float32 between 0 and 1.
    """

    lengths: Sequence[int]
    features: tuple[int, ...]
    read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} sequences; no {index}.")
        return self.read(index)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.read, range(len(self)))

    def cut(self, num_frames: int) -> "Clips":
        """Returns pieces of so many frames; the rest of each is left out."""
        places = [
            (index, start)
            for index, length in enumerate(self.lengths)
            for start in range(0, length - num_frames + 1, num_frames)
        ]
        if not places:
            raise RecipeError(
                "No sequence has so many frames; the longest has "
                f"{max(self.lengths)}. Received: num_frames={num_frames}."
            )

        def read(number: int) -> np.ndarray:
            index, start = places[number]
            return self.read(index)[start : start + num_frames]

        return Clips([num_frames] * len(places), self.features, read)


@dataclass(frozen=True)
class VideoData:
    """A data set of video, as the verbs know it.

    Attributes:
        name: Name of the data set.
        splits: `Clips` by split.
        about: Text that tells one content from another.
        levels: Number of values that a pixel may have, 2 or 256.
    """

    name: str
    splits: dict[str, Clips]
    about: str
    levels: int = 256

    def split(self, name: str) -> Clips:
        """Returns the sequences of a split."""
        return self.splits[name]

    def digest(self) -> str:
        """Returns what tells one content from another."""
        return self.about


def stored(frames: np.ndarray, lengths: Any) -> Clips:
    """Returns sequences that stand one after the other in memory.

    Args:
        frames: uint8 `(frames, height, width)`.
        lengths: Number of frames of each sequence.
    """
    ends = np.cumsum(lengths)

    def read(index: int) -> np.ndarray:
        part = frames[ends[index] - lengths[index] : ends[index]]
        return part[..., None].astype("float32") / 255

    return Clips(list(map(int, lengths)), (*frames.shape[1:], 1), read)


def fingerprint(*arrays: np.ndarray) -> str:
    """Returns a checksum of arrays as text."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return f"{found:08x}"
