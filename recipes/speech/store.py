"""The prepared file: HDF5 that is written in one pass.

Its attributes are `format`, `version`, `corpus`, `sample_rate` (a second),
`samples_per_step`, and the `mean` and `deviation` of the train samples. Each
split is a group of

    samples  int16 (samples,), chunked: all recordings, one after the other
    offsets  int64 (recordings + 1,): where each begins
    names    text (recordings,)

Samples are in 16-bit units, as recorded; who reads them normalises them.
"""

import h5py
import numpy as np

from recipes.data.splits import SPLITS as SPLITS

FORMAT = "keras_fivo speech"
VERSION = 1
_CHUNK = 2**15  # samples of a chunk on the disk, 64 KiB


class Moments:
    """Mean and standard deviation of integers, exact however many."""

    def __init__(self):
        self._count = self._total = self._squares = 0

    def add_block(self, block):
        """Counts an int16 array in."""
        wide = block.astype("int64")
        self._count += len(wide)
        self._total += int(wide.sum())
        self._squares += int(wide @ wide)

    def add(self, other):
        """Counts in what another has counted."""
        self._count += other._count
        self._total += other._total
        self._squares += other._squares

    @property
    def mean(self):
        """float. In 16-bit units."""
        return self._total / self._count

    @property
    def deviation(self):
        """float. In 16-bit units; divides by the count."""
        scaled = self._count * self._squares - self._total**2
        return (scaled / self._count**2) ** 0.5


class Writer:
    """Writes recordings, one after the other.

    Args:
        file: `h5py.File` open for writing.
        check: Function of no arguments, called after each block; raises if
            the disk is full.
    """

    def __init__(self, file, check):
        self._file = file
        self._check = check
        self._lengths = {split: [] for split in SPLITS}
        self._names = {split: [] for split in SPLITS}
        self.moments = Moments()

    def append(self, split, name, blocks):
        """Adds a recording, or nothing of it if it cannot be read.

        Args:
            split: str. One of `SPLITS`.
            name: Name of the recording.
            blocks: Iterable of int16 arrays `(samples,)`.

        Raises:
            ValueError: As `blocks` does.
            OSError: The disk is full.
        """
        samples = self._samples(split)
        start = end = len(samples)
        moments = Moments()
        try:
            for block in blocks:
                samples.resize((end + len(block),))
                samples[end:] = block
                end += len(block)
                moments.add_block(block)
                self._check()
        except ValueError:
            samples.resize((start,))
            raise
        self._lengths[split].append(end - start)
        self._names[split].append(name)
        if split == "train":
            self.moments.add(moments)

    def count(self, split):
        """Tells how many recordings a split has by now."""
        return len(self._names[split])

    def finish(self, **attributes):
        """Writes what is known at the end only.

        Args:
            **attributes: Of the file: numbers and texts.
        """
        for split in SPLITS:
            if self.count(split):
                group = self._file[split]
                ends = np.cumsum([0, *self._lengths[split]], dtype="int64")
                group["offsets"] = ends
                group.create_dataset(
                    "names", data=self._names[split], dtype=h5py.string_dtype()
                )
        self._file.attrs.update(attributes)
        self._file.attrs.update(
            format=FORMAT,
            version=VERSION,
            mean=self.moments.mean,
            deviation=self.moments.deviation,
        )

    def _samples(self, split):
        if split not in self._file:
            self._file.create_dataset(
                f"{split}/samples",
                (0,),
                "int16",
                maxshape=(None,),
                chunks=(_CHUNK,),
            )
        return self._file[split]["samples"]
