"""Reads piano rolls from the three kinds of files that they travel in."""

import pathlib

import numpy as np

from recipes import restricted_pickle
from recipes.errors import FileError
from recipes.pianoroll import matlab
from recipes.pianoroll.rolls import (
    MAX_STEPS,
    SPLITS,
    pack,
    roll_from_notes,
    unpack,
)
from recipes.storage import atomic_path

_PARTS = ("notes", "step_offsets", "seq_offsets")


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
    if head.startswith(matlab.MAGIC):
        return _read_mat(path)
    if path.suffix in (".pkl", ".pickle") or head.startswith(b"\x80"):
        return _read_pickle(path)
    raise FileError(
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
    from keras_fivo import load_arrays  # here, as Keras comes with it

    keys = [f"{split}_{part}" for split in SPLITS for part in _PARTS]
    arrays = load_arrays(path, keys)
    return {
        split: unpack(
            *(arrays[f"{split}_{part}"] for part in _PARTS),
            where=f"split {split!r} of {path}",
        )
        for split in SPLITS
    }


def _read_mat(path):
    keys = {split: f"{split}data" for split in SPLITS}
    cells = matlab.read_cells(path, [*keys.values()])
    return {
        split: _rolls(cells.pop(key), _roll_from_cell, f"{key} in {path}")
        for split, key in keys.items()
    }


def _rolls(sequences, convert, where):
    """Makes piano rolls; refuses them before they fill the memory."""
    rolls, num_steps = [], 0
    for index, sequence in enumerate(sequences):
        rolls.append(convert(sequence, f"sequence {index} of {where}"))
        num_steps += len(rolls[-1])
        if num_steps > MAX_STEPS:
            raise FileError(
                f"A split may have at most {MAX_STEPS} steps. "
                f"Received: {where} with more."
            )
    return rolls


def _roll_from_cell(cell, where):
    if not ((cell == 0) | (cell == 1)).all():
        raise FileError(
            "A piano roll holds zeros and ones. "
            f"Received: {where} with other values."
        )
    return cell.astype("uint8")


def _read_pickle(path):
    content = restricted_pickle.load(path)
    if not isinstance(content, dict) or any(
        not isinstance(content.get(split), list) for split in SPLITS
    ):
        raise FileError(
            f"A pickle of piano rolls is a dict of lists {', '.join(SPLITS)}. "
            f"Received: path={path!s}, which is not."
        )
    return {
        split: _rolls(content[split], roll_from_notes, f"{split} in {path}")
        for split in SPLITS
    }
