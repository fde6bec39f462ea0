"""Reads piano rolls from the three kinds of files that they travel in."""

import pathlib
import zipfile
import zlib

import numpy as np
import scipy.io

from recipes import restricted_pickle
from recipes.pianoroll.rolls import SPLITS, pack, roll_from_notes, unpack
from recipes.storage import atomic_path

MAX_BYTES = 2**30

_PARTS = ("notes", "step_offsets", "seq_offsets")
_FAULTS = (
    EOFError,
    MemoryError,
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_splits(path):
    """Reads the train, valid and test sequences of a file.

    The kind is told by the content, and for a pickle by its name too:

    - `.npz`: for each split s, `s_notes`, `s_step_offsets` and
      `s_seq_offsets`, as `recipes.pianoroll.rolls.pack` describes them;
    - `.mat` (MATLAB 5): cells `traindata`, `validdata` and `testdata` of
      arrays `(steps, 88)`;
    - `.pkl` or `.pickle`: a dict of `train`, `valid` and `test`, each a list
      of sequences, each a list of tuples of MIDI notes. Pickles of Python 2
      are read too, and none can run anything.

    Args:
        path: Path of the file.

    Returns:
        A dict from split to a list of uint8 arrays `(steps, 88)`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, hostile or of another kind.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file of piano rolls here. Received: path={path!s}."
        )
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        return _read_npz(path)
    if head.startswith(b"MATLAB"):
        return _read_mat(path)
    if path.suffix in (".pkl", ".pickle") or head.startswith(b"\x80"):
        return _read_pickle(path)
    raise ValueError(
        "A file of piano rolls is a NumPy .npz, a MATLAB 5 .mat (save with "
        "-v7, not -v7.3) or a pickle that ends in .pkl, and its content must "
        f"be that too. Received: path={path!s}, which begins with {head!r}."
    )


def write_splits(path, splits):
    """Writes sequences in the `.npz` form that `read_splits` reads.

    Args:
        path: Path of the file, which appears whole or not at all.
        splits: Dict from split to a list of uint8 arrays `(steps, 88)`.
    """
    arrays = {}
    for split in SPLITS:
        notes, step_offsets, seq_offsets = pack(splits[split])
        arrays[f"{split}_notes"] = notes
        arrays[f"{split}_step_offsets"] = step_offsets
        arrays[f"{split}_seq_offsets"] = seq_offsets
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path):
    arrays = _load_arrays(path)
    return {
        split: unpack(
            *(arrays[f"{split}_{part}"] for part in _PARTS),
            where=f"split {split!r} of {path}",
        )
        for split in SPLITS
    }


def _load_arrays(path):
    keys = [f"{split}_{part}" for split in SPLITS for part in _PARTS]
    try:
        size = _unzipped_size(path)
        if size <= MAX_BYTES:
            with np.load(path, allow_pickle=False) as content:
                return {key: content[key] for key in keys}
    except KeyError as error:
        raise ValueError(
            f"An .npz file of piano rolls needs the arrays {', '.join(keys)}. "
            f"Received: path={path!s} ({error.args[0]})."
        ) from error
    except _FAULTS as error:
        raise ValueError(_damaged(path, error)) from error
    raise ValueError(_too_large(path, size))


def _unzipped_size(path):
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _read_mat(path):
    keys = {split: f"{split}data" for split in SPLITS}
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(_too_large(path, size))
    try:
        cells = scipy.io.loadmat(path, variable_names=list(keys.values()))
    except Exception as error:  # SciPy raises whatever it stumbles over
        raise ValueError(_damaged(path, error)) from error
    missing = [key for key in keys.values() if key not in cells]
    if missing:
        raise ValueError(
            "A .mat file of piano rolls needs traindata, validdata and "
            f"testdata. Received: path={path!s} without {missing}."
        )
    return {
        split: [
            _roll_from_cell(cell, f"sequence {index} of {key} in {path}")
            for index, cell in enumerate(np.ravel(cells[key]))
        ]
        for split, key in keys.items()
    }


def _roll_from_cell(cell, where):
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "buif":
        raise ValueError(
            "Each cell must hold an array of numbers (steps, 88). "
            f"Received: {where}, which does not."
        )
    if not np.isin(cell, (0, 1)).all():
        raise ValueError(
            "A piano roll holds zeros and ones. "
            f"Received: {where} with other values."
        )
    return cell.astype("uint8")


def _read_pickle(path):
    content = restricted_pickle.load(path)
    if not isinstance(content, dict) or any(
        not isinstance(content.get(split), list) for split in SPLITS
    ):
        raise ValueError(
            f"A pickle of piano rolls is a dict of lists {', '.join(SPLITS)}. "
            f"Received: path={path!s}, which is not."
        )
    return {
        split: [
            roll_from_notes(steps, f"sequence {index} of {split} in {path}")
            for index, steps in enumerate(content[split])
        ]
        for split in SPLITS
    }


def _too_large(path, size):
    return (
        f"A file of piano rolls may hold at most {MAX_BYTES} bytes. "
        f"Received: path={path!s} of {size} bytes."
    )


def _damaged(path, error):
    return (
        f"The file is damaged or cut short ({type(error).__name__}: {error}). "
        f"Get it again. Received: path={path!s}."
    )
