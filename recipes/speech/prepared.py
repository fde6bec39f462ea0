"""Reads prepared files, a recording at a time."""

import os
import pathlib

import h5py

from recipes.speech.clips import Recordings
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

    def read(self, split, start, stop):
        """int16 samples of a split, from `start` to `stop`."""
        return self._opened()[split]["samples"][start:stop]

    def read_steps(self, split, start, stop):
        """These samples, normalised; see `to_steps`."""
        attributes = self.attributes
        return to_steps(
            self.read(split, start, stop),
            attributes["mean"],
            attributes["deviation"],
            attributes["samples_per_step"],
        )

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
