"""Piano rolls: what they are, and the forms that files keep them in."""

import dataclasses
import functools
import hashlib
import itertools

import numpy as np

from recipes.data.splits import SPLITS, Splits
from recipes.errors import FileError

LOWEST_NOTE = 21  # A0, the first key of a piano, as a MIDI number
HIGHEST_NOTE = 108  # C8, the last one
NUM_NOTES = HIGHEST_NOTE - LOWEST_NOTE + 1
MAX_STEPS = 2_000_000  # of a split
_MAX_NOTES = 2**24


@dataclasses.dataclass(frozen=True)
class PianoRolls(Splits):
    """A data set of polyphonic music, in three splits.

    Each sequence is a uint8 array `(steps, 88)` of zeros and ones; column i is
    MIDI note 21 + i. A step without notes is legal, a sequence without steps
    is not.

    Args:
        name: str. Name of the data set.
        train: List of sequences.
        valid: List of sequences.
        test: List of sequences.
        source: str. Where they came from, for the record of a run.

    Raises:
        ValueError: A split has no sequence, a sequence no step, or an array
            is not a piano roll.
    """

    name: str
    train: list
    valid: list
    test: list
    source: str = ""

    def __post_init__(self):
        for split in SPLITS:
            of_source = f" of {self.source}" if self.source else ""
            check_rolls(getattr(self, split), f"split {split!r}{of_source}")

    @functools.cached_property
    def train_mean(self):
        """How often each note sounds in the train split; float32 `(88,)`."""
        steps = sum(len(roll) for roll in self.train)
        counts = sum(roll.sum(axis=0, dtype=np.int64) for roll in self.train)
        return (counts / steps).astype("float32")

    def digest(self):
        """Returns a str that tells one data set from another."""
        found = hashlib.sha256()
        for split in SPLITS:
            for roll in self.split(split):
                found.update(str(roll.shape).encode())
                found.update(np.packbits(roll).tobytes())
        return found.hexdigest()[:16]


def check_rolls(rolls, where):
    """Refuses what is not a list of piano rolls, before anyone trains on it.

    Args:
        rolls: List of arrays `(steps, 88)`.
        where: str. What error messages call the list.
    """
    if len(rolls) == 0:
        raise FileError(
            "Each split must have at least one sequence. "
            f"Received: {where} with none."
        )
    for index, roll in enumerate(rolls):
        received = f"Received: sequence {index} of {where}"
        if roll.ndim != 2 or roll.shape[1] != NUM_NOTES:
            raise FileError(
                f"A piano roll must have the shape (steps, {NUM_NOTES}). "
                f"{received} with shape={roll.shape}."
            )
        if len(roll) == 0:
            raise FileError(
                "A sequence must have at least one step; leave it out. "
                f"{received} with steps=0."
            )
        if roll.dtype != np.uint8 or roll.max() > 1:
            raise FileError(
                "A piano roll holds zeros and ones, as uint8. "
                f"{received} with dtype={roll.dtype}, "
                f"largest value={roll.max()}."
            )


def roll_from_notes(steps, where="the sequence"):
    """Turns the notes of each step into a piano roll.

    Args:
        steps: List of steps, each a tuple or list of MIDI notes, 21 to 108.
        where: str. What error messages call the sequence.

    Returns:
        A uint8 array `(steps, 88)`.
    """
    try:
        counts = np.array([len(step) for step in steps], "int64")
        notes = list(itertools.chain.from_iterable(steps))
    except TypeError:
        raise FileError(
            "A sequence must be a list of steps, and a step a list or tuple "
            f"of MIDI notes. Received: {where}, which is not."
        ) from None
    for note in notes:
        if not isinstance(note, (int, np.integer)):
            raise FileError(
                "MIDI notes must be integers. "
                f"Received: {where} with note={str(note)[:80]!r}."
            )
        _check_range(note, note, where)
    return _scatter(np.array(notes, "int64"), counts, where)


def pack(rolls):
    """Flattens piano rolls into what an `.npz` file of a split holds.

    Args:
        rolls: List of uint8 arrays `(steps, 88)`.

    Returns:
        `(notes, step_offsets, seq_offsets)`: uint8 MIDI notes, one after the
        other; int32 offsets of the steps into the notes, one more than there
        are steps; int32 offsets of the sequences into the steps, likewise.
    """
    roll = np.concatenate(rolls)
    notes = np.nonzero(roll)[1] + LOWEST_NOTE
    step_offsets = np.concatenate([[0], np.cumsum(roll.sum(1, dtype="int64"))])
    seq_offsets = np.cumsum([0, *(len(roll) for roll in rolls)])
    return (
        notes.astype("uint8"),
        step_offsets.astype("int32"),
        seq_offsets.astype("int32"),
    )


def unpack(notes, step_offsets, seq_offsets, where="the split"):
    """Rebuilds piano rolls from the arrays that `pack` describes.

    Args:
        notes: Integers `(notes,)`.
        step_offsets: Integers `(steps + 1,)`.
        seq_offsets: Integers `(sequences + 1,)`.
        where: str. What error messages call the split.

    Returns:
        A list of uint8 arrays `(steps, 88)`.
    """
    if notes.ndim != 1 or notes.dtype.kind not in "iu":
        raise FileError(
            "MIDI notes must be integers, one after the other. "
            f"Received: {where} with shape={notes.shape}, dtype={notes.dtype}."
        )
    num_steps = step_offsets.size - 1
    for offsets, end, label in (
        (step_offsets, len(notes), "step_offsets"),
        (seq_offsets, num_steps, "seq_offsets"),
    ):
        if (
            offsets.ndim != 1
            or offsets.dtype.kind not in "iu"
            or offsets.size == 0
            or offsets[0] != 0
            or offsets[-1] != end
            or (np.diff(offsets.astype("int64")) < 0).any()
        ):
            raise FileError(
                f"The {label} must be integers that rise from 0 to {end}. "
                f"Received: {where} with other ones."
            )
    if len(seq_offsets) > num_steps + 1:
        raise FileError(
            "A sequence must have at least one step; leave it out. Received: "
            f"{where}, {len(seq_offsets) - 1} sequences of {num_steps} steps."
        )
    counts = np.diff(step_offsets.astype("int64"))
    if len(notes):
        _check_range(notes.min(), notes.max(), where)
    roll = _scatter(notes, counts, where)
    return [roll[start:end] for start, end in itertools.pairwise(seq_offsets)]


def _check_range(low, high, where):
    if low < LOWEST_NOTE or high > HIGHEST_NOTE:
        raise FileError(
            f"MIDI notes must be between {LOWEST_NOTE} and {HIGHEST_NOTE}, "
            f"the keys of a piano. Received: {where} with "
            f"note={low if low < LOWEST_NOTE else high}."
        )


def _scatter(notes, counts, where):
    if len(counts) > MAX_STEPS or len(notes) > _MAX_NOTES:
        raise FileError(
            f"A split may have at most {MAX_STEPS} steps, of {_MAX_NOTES} "
            f"notes. Received: {where} with steps={len(counts)}, "
            f"notes={len(notes)}."
        )
    roll = np.zeros((len(counts), NUM_NOTES), "uint8")
    columns = notes.astype("int64") - LOWEST_NOTE
    roll[np.repeat(np.arange(len(counts)), counts), columns] = 1
    return roll
