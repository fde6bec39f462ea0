"""Reads poses from pickles and `.npz` files."""

import pathlib
import zipfile
import zlib

import numpy as np

from recipes import restricted_pickle
from recipes.pose.poses import SPLITS, check_sequences
from recipes.pose.skeleton import NUM_FEATURES
from recipes.storage import atomic_path

MAX_BYTES = 2**30

_MEAN = "train_mean"
_FAULTS = (EOFError, MemoryError, OSError, zipfile.BadZipFile, zlib.error)


def read_splits(path, splits=SPLITS, num_features=NUM_FEATURES):
    """Reads the sequences of a file, and the mean to centre by.

    The kind is told by the content, and for a pickle by its name too:

    - `.pkl` or `.pickle`: a dict of `train`, `valid` and `test`, each a list
      of arrays `(steps, 64)` or one array `(sequences, steps, 64)`, and
      `train_mean`, `(64,)`, which may be missing. Pickles of Python 2 are
      read too, and none can run anything.
    - `.npz`: arrays `train`, `valid` and `test`, each `(sequences, steps,
      64)`; or each `(steps, 64)`, sequence after sequence, with the number of
      steps of each in `train_lengths` and so on; and `train_mean`.

    Args:
        path: Path of the file.
        splits: The splits that there must be. Default: all three.
        num_features: int. Values of a step. Default: 64.

    Returns:
        A dict from split to a list of float32 arrays `(steps, 64)`, and from
        `"given_mean"` to float32 `(64,)` or `None`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, hostile or of another kind, or its
            arrays are not of poses.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file of poses here. Received: path={path!s}."
        )
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        content = _read_npz(path, splits)
    elif path.suffix in (".pkl", ".pickle") or head.startswith(b"\x80"):
        content = restricted_pickle.load(path)
    else:
        raise ValueError(
            "A file of poses is a pickle that ends in .pkl or a NumPy .npz. "
            f"Received: path={path!s}, which begins with {head!r}."
        )
    return _checked(content, path, splits, num_features)


def write_npz(path, splits, train_mean=None):
    """Writes sequences in the `.npz` form that `read_splits` reads.

    Args:
        path: Path of the file, which appears whole or not at all.
        splits: Dict from split to a list of arrays `(steps, 64)`.
        train_mean: Array `(64,)`. Default: `None`, left out.
    """
    arrays = {} if train_mean is None else {_MEAN: np.asarray(train_mean)}
    for split in SPLITS:
        arrays[split] = np.concatenate(splits[split])
        lengths = [len(sequence) for sequence in splits[split]]
        arrays[f"{split}_lengths"] = np.array(lengths, "int32")
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path, splits):
    known = [*splits, *(f"{split}_lengths" for split in splits), _MEAN]
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes are more than {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            content = {key: file[key] for key in known if key in file}
    except (*_FAULTS, ValueError) as error:
        raise ValueError(
            "The file is damaged, cut short, too large, or holds objects "
            f"({type(error).__name__}: {error}). Received: path={path!s}."
        ) from error
    for split in splits:
        lengths = content.pop(f"{split}_lengths", None)
        if lengths is not None and split in content:
            where = f"split {split!r} of {path}"
            content[split] = _cut(content[split], lengths, where)
    return content


def _cut(steps, lengths, where):
    if (
        lengths.ndim != 1
        or lengths.dtype.kind not in "iu"
        or steps.ndim != 2
        or (lengths < 1).any()
        or lengths.sum(dtype="int64") != len(steps)
    ):
        raise ValueError(
            "The lengths of a split must be integers, at least 1, whose sum "
            f"is its number of steps. Received: {where} of "
            f"shape={steps.shape} with other lengths."
        )
    return np.split(steps, np.cumsum(lengths.astype("int64"))[:-1])


def _checked(content, path, splits, num_features):
    if not isinstance(content, dict):
        raise ValueError(
            f"A pickle of poses is a dict of {', '.join(splits)}. Received: "
            f"path={path!s}, which holds a {type(content).__name__}."
        )
    missing = [split for split in splits if split not in content]
    if missing:
        raise ValueError(
            f"A file of poses needs the splits {', '.join(splits)}. "
            f"Received: path={path!s} without {', '.join(missing)}."
        )
    found = {"given_mean": None}
    for split in splits:
        where = f"split {split!r} of {path}"
        if not isinstance(content[split], (list, tuple, np.ndarray)):
            raise ValueError(
                "A split must be a list of arrays (steps, "
                f"{num_features}), or one array of them. "
                f"Received: {where}, a {type(content[split]).__name__}."
            )
        found[split] = [
            _as_numbers(value, f"sequence {index} of {where}")
            for index, value in enumerate(content[split])
        ]
        check_sequences(found[split], where, num_features)
    if content.get(_MEAN) is not None:
        mean = _as_numbers(content[_MEAN], f"{_MEAN} of {path}")
        if mean.shape != (num_features,) or not np.isfinite(mean).all():
            raise ValueError(
                f"The {_MEAN} must be {num_features} finite values. "
                f"Received: path={path!s} with shape={mean.shape}."
            )
        found["given_mean"] = mean
    return found


def _as_numbers(value, where):
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal lengths
        array = np.empty(0, "object")
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"Poses must be arrays of numbers. Received: {where}, which is not."
        )
    with np.errstate(over="ignore"):  # infinity is refused by name
        return array.astype("float32")
