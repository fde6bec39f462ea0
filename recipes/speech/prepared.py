"""Reads prepared files, a recording at a time."""

import collections.abc
import os
import pathlib

import h5py
import numpy as np

from recipes.speech.store import FORMAT, SPLITS, VERSION


def to_steps(samples, mean, deviation, samples_per_step):
    """Normalises samples and cuts them into steps.

    Args:
        samples: Array `(samples,)`.
        mean: float.
        deviation: float.
        samples_per_step: int.

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


class PreparedSpeech:
    """A prepared file, of which nothing but the lengths is kept in memory.

    It may be handed to threads and to other processes, forked or spawned:
    each process opens the file for itself.

    Args:
        path: Path of a file that `python -m recipes prepare speech` wrote.

    Attributes:
        path: `pathlib.Path`.
        attributes: Dict of `corpus`, `sample_rate`, `samples_per_step`, `mean`
            and `deviation`.
        splits: Tuple of the names of the splits there are.

    Raises:
        ValueError: It is not such a file, or of another version.
        FileNotFoundError: There is none.

    Example:

    ```python
    speech = PreparedSpeech("digits.h5")
    dataset = SequenceDataset(speech.split("train", clip_seconds=0.5))
    ```
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"There is no prepared file {self.path}. Make it with "
                "`python -m recipes prepare speech`."
            )
        self._file = self._process = None
        try:
            self.attributes = {
                name: value.item() if hasattr(value, "item") else value
                for name, value in self._opened().attrs.items()
            }
        except OSError as error:
            raise ValueError(
                f"{self.path} must be a prepared file. Received: {error}."
            ) from error
        kind = tuple(self.attributes.get(k) for k in ("format", "version"))
        if kind != (FORMAT, VERSION):
            self.close()
            raise ValueError(
                f"{self.path} must be a prepared file of version {VERSION}. "
                f"Received: format={kind[0]!r}, version={kind[1]!r}."
            )
        self.splits = tuple(s for s in SPLITS if s in self._opened())

    def split(self, name, clip_seconds=None):
        """The sequences of a split.

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

    def read(self, split, start, stop):
        """int16 samples of a split, from `start` to `stop`."""
        return self._opened()[split]["samples"][start:stop]

    def offsets(self, split):
        """int64 array `(recordings + 1,)`: where each recording begins."""
        return self._opened()[split]["offsets"][:]

    def names(self, split):
        """The names of the recordings of a split, a list of str."""
        return list(self._opened()[split]["names"].asstr()[:])

    def close(self):
        """Closes the file; reading opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getstate__(self):
        return {**self.__dict__, "_file": None, "_process": None}

    def _opened(self):
        if self._file is None or self._process != os.getpid():
            self._file = h5py.File(self.path, "r")
            self._process = os.getpid()
        return self._file

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
        prepared: `PreparedSpeech`.
        split: str.
        clip_steps: int. Steps of a clip, or `None` for whole recordings.

    Attributes:
        lengths: int64 array `(items,)`. Steps of each item.
        features: int. Samples of a step.
        recordings: int64 array `(items,)`. Which recording of the split each
            item is of.
    """

    def __init__(self, prepared, split, clip_steps=None):
        self._prepared = prepared
        self._split = split
        self.features = prepared.attributes["samples_per_step"]
        offsets = prepared.offsets(split)
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
        samples = self._prepared.read(
            self._split, self._starts[index], self._stops[index]
        )
        attributes = self._prepared.attributes
        return to_steps(
            samples, attributes["mean"], attributes["deviation"], self.features
        )
