"""Reads poses from pickles and `.npz` files."""

import pathlib

import numpy as np

from recipes import restricted_pickle
from recipes.errors import FileError
from recipes.pose.poses import SPLITS, check_sequences
from recipes.pose.skeleton import NUM_FEATURES
from recipes.storage import atomic_path

MAX_VALUES = 2**26  # of a file

_MEAN = "train_mean"


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
        content = _read_npz(path, splits, num_features)
    elif path.suffix in (".pkl", ".pickle") or head.startswith(b"\x80"):
        content = restricted_pickle.load(path)
    else:
        raise FileError(
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


def _read_npz(path, splits, num_features):
    from keras_fivo import load_arrays  # here, as Keras comes with it

    content = load_arrays(path)
    num_values = sum(array.size for array in content.values())
    if num_values > MAX_VALUES:
        raise FileError(
            f"A file of poses may hold at most {MAX_VALUES} values. "
            f"Received: path={path!s} of {num_values}."
        )
    for split in splits:
        lengths = content.get(f"{split}_lengths")
        if lengths is not None and split in content:
            where = f"split {split!r} of {path}"
            content[split] = _cut(content[split], lengths, where, num_features)
    return content


def _cut(steps, lengths, where, num_features):
    if (
        lengths.ndim != 1
        or lengths.dtype.kind not in "iu"
        or steps.ndim != 2
        or steps.shape[1] != num_features
        or (lengths < 1).any()
        or lengths.sum(dtype="int64") != len(steps)
    ):
        raise FileError(
            "The lengths of a split must be integers, at least 1, whose sum "
            f"is its number of steps, each of {num_features} values. "
            f"Received: {where} of shape={steps.shape} with other lengths."
        )
    return np.split(steps, np.cumsum(lengths.astype("int64"))[:-1])


def _checked(content, path, splits, num_features):
    if not isinstance(content, dict):
        raise FileError(
            f"A pickle of poses is a dict of {', '.join(splits)}. Received: "
            f"path={path!s}, which holds a {type(content).__name__}."
        )
    missing = [split for split in splits if split not in content]
    if missing:
        raise FileError(
            f"A file of poses needs the splits {', '.join(splits)}. "
            f"Received: path={path!s} without {', '.join(missing)}."
        )
    found = {"given_mean": None}
    for split in splits:
        where = f"split {split!r} of {path}"
        found[split] = _sequences(content[split], where, num_features)
        check_sequences(found[split], where, num_features)
    if content.get(_MEAN) is not None:
        mean = _as_numbers([content[_MEAN]], f"{_MEAN} of {path}")
        if mean.shape != (1, num_features) or not np.isfinite(mean).all():
            raise FileError(
                f"The {_MEAN} must be {num_features} finite values. "
                f"Received: path={path!s} with shape={mean.shape[1:]}."
            )
        found["given_mean"] = mean[0]
    return found


def _sequences(split, where, num_features):
    """Returns the float32 arrays of a split: of a list, or of one array."""
    if isinstance(split, np.ndarray) and split.ndim == 3 and split.size:
        return list(_as_numbers(split, where))
    if not isinstance(split, (list, tuple)):
        raise FileError(
            f"A split must be a list of arrays (steps, {num_features}), or "
            f"one array (sequences, steps, {num_features}). Received: "
            f"{where}, a {type(split).__name__} with "
            f"shape={getattr(split, 'shape', ())}."
        )
    return [
        _as_numbers(value, f"sequence {index} of {where}")
        for index, value in enumerate(split)
    ]


def _as_numbers(value, where):
    if isinstance(value, (list, tuple)):
        value = _stacked(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise FileError(
            f"Poses must be arrays of numbers. Received: {where}, which is not."
        )
    with np.errstate(over="ignore"):  # infinity is refused by name
        return value.astype("float32")


def _stacked(rows):
    """Returns rows of equal lengths as an array; `None` for anything else."""
    try:
        numbers = all(
            isinstance(x, (int, float, np.number)) for row in rows for x in row
        )
        same = len({len(row) for row in rows}) == 1
    except TypeError:
        return None
    return np.array(rows) if numbers and same else None
