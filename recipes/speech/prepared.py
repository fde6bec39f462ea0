"""Reads prepared files, a recording at a time."""

import os
import pathlib

import h5py

from recipes.errors import FileError, reading
from recipes.hdf5 import limited_memory, plain_datasets
from recipes.speech.clips import (
    ATTRIBUTES,
    Recordings,
    check_attributes,
    check_offsets,
)
from recipes.speech.clips import to_steps as to_steps
from recipes.speech.store import FORMAT, SPLITS, VERSION


class PreparedSpeech(Recordings):
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
            with self._reading(), limited_memory():
                self._check()
        except BaseException:
            self.close()
            raise

    def _check(self):
        """Reads all but the samples, and refuses what does not fit."""
        file = self._opened()
        datasets = plain_datasets(file, self.path.stat().st_size)
        self.attributes = {}
        for name in ("format", "version", *ATTRIBUTES):
            if name in file.attrs and file.attrs.get_id(name).shape == ():
                value = file.attrs[name]
                self.attributes[name] = (
                    value.item() if hasattr(value, "item") else value
                )
        kind = tuple(self.attributes.get(k) for k in ("format", "version"))
        if kind != (FORMAT, VERSION):
            raise FileError(
                f"{self.path} must be a prepared file of version {VERSION}. "
                f"Received: format={kind[0]!r}, version={kind[1]!r}."
            )
        check_attributes(self.path, self.attributes)
        self.splits = tuple(split for split in SPLITS if split in file)
        found = {dataset.name: dataset for dataset in datasets}
        for split in self.splits:
            samples, offsets, names = (
                found[f"/{split}/{name}"]
                for name in ("samples", "offsets", "names")
            )
            check_offsets(self.path, offsets[()], samples)
            if len(self.names(split)) != len(offsets) - 1:
                raise ValueError(f"{names.shape} names in {split!r}")

    def _reading(self):
        return reading(self.path, "a prepared file of speech")

    def read(self, split, start, stop):
        """Returns int16 samples of a split, from `start` to `stop`."""
        with self._reading():
            return self._opened()[split]["samples"][start:stop]

    def read_steps(self, split, start, stop):
        """Returns these samples, normalised; see `to_steps`."""
        attributes = self.attributes
        return to_steps(
            self.read(split, start, stop),
            attributes["mean"],
            attributes["deviation"],
            attributes["samples_per_step"],
        )

    def offsets(self, split):
        """Returns where each recording begins, int64 `(recordings + 1,)`."""
        with self._reading():
            return self._opened()[split]["offsets"][:]

    def names(self, split):
        """Returns the names of the recordings of a split, a list of str."""
        with self._reading(), limited_memory():
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
