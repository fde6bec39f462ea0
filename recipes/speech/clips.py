"""Recordings as sequences of steps, whole or cut into clips."""

import collections.abc
import hashlib
import json
import pathlib

import numpy as np

from recipes.errors import FileError
from recipes.speech.recording import FULL_SCALE, MAX_RATE
from recipes.storage import check_kinds

ATTRIBUTES = {
    "corpus": str,
    "sample_rate": int,
    "samples_per_step": int,
    "mean": float | int,
    "deviation": float | int,
}


def to_steps(samples, mean, deviation, samples_per_step):
    """Normalises samples and cuts them into steps.

    Args:
        samples: Array `(samples,)`.
        mean: Mean of the samples of the train split.
        deviation: Standard deviation of the samples of the train split.
        samples_per_step: Number of samples of a step.

    Returns:
        float32 array `(steps, samples_per_step)`. What the last step lacks is
        zero: the mean.
    """
    num_steps = -(-len(samples) // samples_per_step)
    steps = np.zeros(num_steps * samples_per_step, "float32")
    steps[: len(samples)] = samples
    steps[: len(samples)] -= np.float32(mean)
    steps[: len(samples)] /= np.float32(deviation)
    return steps.reshape(num_steps, samples_per_step)


def check_offsets(path, offsets, samples):
    """Refuses offsets that do not cut samples into recordings.

    Args:
        path: Path of the file that holds them.
        offsets: Array of what should be `(recordings + 1,)` integers, where
            each recording begins.
        samples: Array of what should be `(samples,)` of int16.
    """
    if (
        (samples.ndim, samples.dtype) != (1, np.int16)
        or offsets.ndim != 1
        or offsets.dtype.kind != "i"
        or len(offsets) < 2
        or (offsets[0], offsets[-1]) != (0, len(samples))
        or not 0 <= offsets.min() <= offsets.max() <= len(samples)
        or (np.diff(offsets) < 0).any()
    ):
        raise FileError(
            "Recordings must be int16 samples, and offsets that rise from 0 "
            f"to their number. Received: path={path!s} with samples of "
            f"{samples.dtype} and shape={samples.shape}, and other offsets."
        )


def check_attributes(path, attributes):
    """Refuses numbers that no samples are normalised by.

    Args:
        path: Path of the file that tells them.
        attributes: Dict of what the file tells.
    """
    check_kinds(path, attributes, ATTRIBUTES)
    rate, size = attributes["sample_rate"], attributes["samples_per_step"]
    mean, deviation = attributes["mean"], attributes["deviation"]
    if not (
        1 <= rate <= MAX_RATE
        and 1 <= size <= MAX_RATE
        and abs(mean) <= FULL_SCALE
        and 0 < deviation <= FULL_SCALE
    ):
        raise FileError(
            f"The file must tell 1 to {MAX_RATE} samples per second and per "
            "step, and the mean and the deviation of 16-bit samples. "
            f"Received: path={path!s} with {rate}, {size}, {mean}, "
            f"{deviation}."
        )


class Recordings:
    """Recordings in splits, read piece by piece; what all files of them do.

    A subclass reads: `offsets(split)` gives an int64 array `(recordings +
    1,)`, where each recording begins, in samples; `names(split)` a list of
    str; `read_steps(split, start, stop)` samples of one recording,
    normalised, as `to_steps` gives them.

    Attributes:
        path: `pathlib.Path`.
        attributes: Dict of `corpus`, `sample_rate`, `samples_per_step`, `mean`
            and `deviation`.
        splits: Tuple of the names of the splits there are.
    """

    path: pathlib.Path
    attributes: dict
    splits: tuple

    def split(self, name, clip_seconds=None):
        """Returns the sequences of a split.

        Args:
            name: str. One of `splits`.
            clip_seconds: float. Cut recordings into consecutive clips of this
                many seconds, rounded to whole steps; the last one of a
                recording may be shorter. Default: `None`, which leaves them
                whole.

        Returns:
            `Clips`.
        """
        if name not in self.splits:
            raise ValueError(
                f"{self.path} has the splits {', '.join(self.splits)}. "
                f"Received: name={name!r}."
            )
        return Clips(self, name, self._clip_steps(clip_seconds))

    def digest(self):
        """Tells one data set from another, without reading the samples.

        By the number of samples of each recording, and by the mean and the
        deviation, which depend on each sample of train.
        """
        found = hashlib.sha256(
            json.dumps(self.attributes, sort_keys=True).encode()
        )
        for split in self.splits:
            found.update(split.encode())
            found.update(self.offsets(split).astype("<i8").tobytes())
        return found.hexdigest()[:16]

    def offsets(self, split):
        raise NotImplementedError

    def names(self, split):
        raise NotImplementedError

    def read_steps(self, split, start, stop):
        raise NotImplementedError

    def _clip_steps(self, clip_seconds):
        if clip_seconds is None:
            return None
        rate, size = (
            self.attributes[k] for k in ("sample_rate", "samples_per_step")
        )
        if not clip_seconds * rate / size > 0.5:
            raise ValueError(
                f"`clip_seconds` must hold a step, which has {size} samples of "
                f"{rate} a second. Received: clip_seconds={clip_seconds}."
            )
        return max(1, round(clip_seconds * rate / size))


class Clips(collections.abc.Sequence):
    """A split as a sequence of arrays that are read when they are asked for.

    Item i is a float32 array `(steps, samples_per_step)`, normalised by the
    mean and the deviation of the train split. `SequenceDataset` takes it.

    Args:
        source: `Recordings`.
        split: Name of the split.
        clip_steps: int. Steps of a clip, or `None` for whole recordings.

    Attributes:
        lengths: int64 array `(items,)`. Steps of each item.
        features: int. Samples of a step.
        recordings: int64 array `(items,)`. Which recording of the split each
            item is of.
    """

    def __init__(self, source, split, clip_steps=None):
        self._source = source
        self._split = split
        self.features = source.attributes["samples_per_step"]
        offsets = source.offsets(split)
        num_samples = np.diff(offsets)
        whole = int(num_samples.max()) + self.features
        longest = clip_steps * self.features if clip_steps else whole
        num_clips = -(-num_samples // longest)
        self.recordings = np.repeat(np.arange(len(num_samples)), num_clips)
        firsts = np.cumsum(num_clips) - num_clips
        index = np.arange(len(self.recordings)) - firsts[self.recordings]
        self._starts = offsets[self.recordings] + index * longest
        self._stops = np.minimum(
            self._starts + longest, offsets[self.recordings + 1]
        )
        self.lengths = -(-(self._stops - self._starts) // self.features)

    def __len__(self):
        return len(self._starts)

    def __getitem__(self, index):
        return self._source.read_steps(
            self._split, self._starts[index], self._stops[index]
        )
