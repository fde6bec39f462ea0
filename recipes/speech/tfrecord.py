"""The original's TFRecord files, read and written where TensorFlow is.

The original has a file for each split, `train`, `valid` and `test`. A record
is a recording: its normalised samples, float32 and little-endian, filled up
with zeros to whole steps, and nothing around them. Neither the sample rate
nor what the samples were normalised with is in it: files that are written
here have `speech.json` beside them, which tells; files without it are taken
for TIMIT as the original prepares it.
"""

import contextlib
import os
import pathlib

import numpy as np

from recipes.errors import FileError, reading
from recipes.speech.clips import ATTRIBUTES, Recordings, check_attributes
from recipes.speech.store import SPLITS
from recipes.storage import read_json, scratch_folder, write_json

ATTRIBUTES_FILE = "speech.json"
# What the original's script prints for the corpus.
_TIMIT = {
    "corpus": "timit",
    "sample_rate": 16000,
    "samples_per_step": 200,
    "mean": 0.006060,
    "deviation": 548.136169,
}
_SAMPLE = np.dtype("<f4")
_BEFORE, _AFTER = 12, 4  # bytes of length and checksums around a record


def holds_tfrecords(path):
    """Tells whether a path is a folder of TFRecord files of speech."""
    path = pathlib.Path(path)
    return path.is_dir() and _file_of(path, "train") is not None


class TFRecordSpeech(Recordings):
    """A folder of TFRecord files, of which only the lengths are in memory.

    TensorFlow reads the files once, from end to end, and verifies their
    checksums; recordings are then read when they are asked for, without it,
    by any thread or process.

    Args:
        path: Path of a folder that holds `train`, `valid` and `test`, or
            `train.tfrecord` and so on; not all need be there.
        samples_per_step: Number of samples of a step of files without
            `speech.json`. Default: 200.

    Attributes:
        path: `pathlib.Path`.
        attributes: Dict of `corpus`, `sample_rate`, `samples_per_step`, `mean`
            and `deviation`.
        splits: Tuple of the names of the splits there are.

    Raises:
        ImportError: TensorFlow is not installed.
        FileNotFoundError: There is no such file.
        ValueError: A file is damaged, or not of this kind.
    """

    def __init__(self, path, samples_per_step=None):
        self.path = pathlib.Path(path)
        files = {split: _file_of(self.path, split) for split in SPLITS}
        self._files = {s: file for s, file in files.items() if file}
        if not self._files:
            raise FileNotFoundError(
                "A folder of TFRecord files holds train, valid and test. "
                f"Received: path={str(self.path)!r}, which has none."
            )
        self.splits = tuple(self._files)
        self.attributes = _read_attributes(self.path)
        if samples_per_step is not None:
            self.attributes["samples_per_step"] = samples_per_step
        size = self.attributes["samples_per_step"]
        self._offsets = {
            split: np.cumsum([0, *_lengths(file, size)], dtype="int64")
            for split, file in self._files.items()
        }

    def offsets(self, split):
        """Returns where each recording begins, int64 `(recordings + 1,)`."""
        return self._offsets[split]

    def names(self, split):
        """Returns names of the recordings of a split: the files tell none."""
        return [f"{split}-{i}" for i in range(len(self._offsets[split]) - 1)]

    def read_steps(self, split, start, stop):
        """Reads samples from `start` to `stop` of one recording as steps."""
        offsets = self._offsets[split]
        index = int(np.searchsorted(offsets, start, side="right")) - 1
        where = start * _SAMPLE.itemsize + index * (_BEFORE + _AFTER) + _BEFORE
        samples = np.fromfile(
            self._files[split], _SAMPLE, int(stop - start), offset=int(where)
        )
        return samples.astype("float32", copy=False).reshape(
            -1, self.attributes["samples_per_step"]
        )


def write_tfrecords(recordings, folder, overwrite=False):
    """Writes recordings as the original does; the folder appears once whole.

    Args:
        recordings: `Recordings`, such as a `PreparedSpeech`.
        folder: Path of the folder to write.
        overwrite: bool. Replace a folder of such files. Default: `False`.

    Raises:
        ImportError: TensorFlow is not installed.
        ValueError: There is something at `folder` that is not to be replaced.
        OSError: The disk is full.
    """
    tf = check_tensorflow()
    folder = pathlib.Path(folder)
    check_free(folder, overwrite)
    with scratch_folder(folder) as scratch:
        whole = scratch / "whole"
        whole.mkdir()
        for split in recordings.splits:
            with _named(folder), tf.io.TFRecordWriter(str(whole / split)) as to:
                for steps in recordings.split(split):
                    to.write(steps.astype(_SAMPLE).tobytes())
        told = {name: recordings.attributes[name] for name in _TIMIT}
        write_json(whole / ATTRIBUTES_FILE, told)
        if folder.exists():
            os.replace(folder, scratch / "replaced")
        os.replace(whole, folder)


def check_free(folder, overwrite):
    """Refuses to write where there is something else.

    Args:
        folder: `pathlib.Path`.
        overwrite: bool. Whether a folder of TFRecord files may go.
    """
    if folder.exists() and not overwrite:
        raise ValueError(
            f"{folder} exists; `overwrite=true` replaces it. "
            f"Received: out={str(folder)!r}."
        )
    known = {*SPLITS, ATTRIBUTES_FILE}
    if folder.exists() and not (
        folder.is_dir() and {file.name for file in folder.iterdir()} <= known
    ):
        raise ValueError(
            "Only a folder of TFRecord files is replaced by one. "
            f"Received: out={str(folder)!r}, which is something else."
        )


def check_tensorflow():
    """Returns TensorFlow, or raises an error that says how to do without."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(
            "TFRecord files need TensorFlow; HDF5, which `prepare speech` "
            'writes, does not. Run `pip install "keras_fivo[tensorflow]"`.'
        ) from error
    return tensorflow


def _file_of(folder, split):
    for file in (folder / split, folder / f"{split}.tfrecord"):
        if file.is_file():
            return file
    return None


def _read_attributes(folder):
    path = folder / ATTRIBUTES_FILE
    if not path.is_file():
        return dict(_TIMIT)
    told = read_json(path, "what `prepare speech` tells", ATTRIBUTES)
    check_attributes(path, told)
    return {name: told[name] for name in _TIMIT}


def _lengths(path, samples_per_step):
    """Counts the samples of each record, whose checksums TensorFlow checks."""
    tf = check_tensorflow()
    with reading(path, "a TFRecord file of speech"):
        lengths = _framed(path, samples_per_step)
        # TensorFlow takes the memory that a record asks for: now it is there.
        records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for index, (record, length) in enumerate(
            zip(records, lengths, strict=True)
        ):
            values = np.frombuffer(record, _SAMPLE)
            if len(values) != length or not np.isfinite(values).all():
                raise ValueError(f"record {index} is not of finite samples")
    return lengths


def _framed(path, samples_per_step):
    """Counts the samples of each record, as the lengths around them tell."""
    size, step = path.stat().st_size, samples_per_step * _SAMPLE.itemsize
    lengths, start = [], 0
    with open(path, "rb") as file:
        while start < size:
            file.seek(start)
            length = int.from_bytes(file.read(8), "little")
            start += _BEFORE + length + _AFTER
            if start > size:
                raise EOFError(f"record {len(lengths)} of {length} bytes")
            if not length or length % step:
                raise FileError(
                    f"A record of speech holds steps of {samples_per_step} "
                    f"float32 samples. Received: path={path!s}, whose record "
                    f"{len(lengths)} has {length} bytes."
                )
            lengths.append(length // _SAMPLE.itemsize)
    if not lengths:
        raise FileError(f"{path} must have records. Received: none.")
    return lengths


@contextlib.contextmanager
def _named(folder):
    """Raises errors of TensorFlow's writer as those of the disk."""
    try:
        yield
    except check_tensorflow().errors.OpError as error:
        raise OSError(
            f"Could not write {folder}: {error.message}. Nothing of it was "
            "kept."
        ) from error
