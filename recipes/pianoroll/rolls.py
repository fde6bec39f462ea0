"""Piano rolls: what they are, and the forms that files keep them in."""

import dataclasses
import functools
import hashlib
import itertools

import numpy as np

SPLITS = ("train", "valid", "test")
LOWEST_NOTE = 21  # A0, the first key of a piano, as a MIDI number
HIGHEST_NOTE = 108  # C8, the last one
NUM_NOTES = HIGHEST_NOTE - LOWEST_NOTE + 1
MAX_STEPS = 20_000_000


@dataclasses.dataclass(frozen=True)
class PianoRolls:
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
            check_rolls(getattr(self, split), split)

    @functools.cached_property
    def train_mean(self):
        """How often each note sounds in the train split; float32 `(88,)`."""
        steps = sum(len(roll) for roll in self.train)
        counts = sum(roll.sum(axis=0, dtype=np.int64) for roll in self.train)
        return (counts / steps).astype("float32")

    def digest(self):
        """A str that tells one data set from another."""
        found = hashlib.sha256()
        for split in SPLITS:
            for roll in self.split(split):
                found.update(str(roll.shape).encode())
                found.update(np.packbits(roll).tobytes())
        return found.hexdigest()[:16]

    def split(self, name):
        """The sequences of the split of this name."""
        if name not in SPLITS:
            raise ValueError(
                f"A split is one of {', '.join(SPLITS)}. "
                f"Received: split={name!r}."
            )
        return getattr(self, name)


def check_rolls(rolls, split):
    """Refuses what is not a list of piano rolls, before anyone trains on it.

    Args:
        rolls: List of arrays `(steps, 88)`.
        split: str. Name of the split, for the message.
    """
    if len(rolls) == 0:
        raise ValueError(
            "Each split must have at least one sequence. "
            f"Received: split={split!r} with none."
        )
    for index, roll in enumerate(rolls):
        where = f"sequence {index} of split {split!r}"
        if roll.ndim != 2 or roll.shape[1] != NUM_NOTES:
            raise ValueError(
                f"A piano roll must have the shape (steps, {NUM_NOTES}). "
                f"Received: {where} with shape={roll.shape}."
            )
        if len(roll) == 0:
            raise ValueError(
                "A sequence must have at least one step; leave it out. "
                f"Received: {where} with steps=0."
            )
        if roll.dtype != np.uint8 or roll.max() > 1:
            raise ValueError(
                "A piano roll holds zeros and ones, as uint8. "
                f"Received: {where} with dtype={roll.dtype}, "
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
        notes = np.array(list(itertools.chain.from_iterable(steps)))
    except (TypeError, ValueError):
        raise ValueError(
            "A sequence must be a list of steps, and a step a list or tuple "
            f"of MIDI notes. Received: {where}, which is not."
        ) from None
    if notes.size and (notes.ndim != 1 or notes.dtype.kind not in "iu"):
        raise ValueError(
            "MIDI notes must be integers. "
            f"Received: {where} with notes of dtype={notes.dtype}."
        )
    return _scatter(notes.astype("int64"), counts, where)


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
        raise ValueError(
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
            raise ValueError(
                f"The {label} must be integers that rise from 0 to {end}. "
                f"Received: {where} with other ones."
            )
    counts = np.diff(step_offsets.astype("int64"))
    roll = _scatter(notes.astype("int64"), counts, where)
    return [
        roll[start:end].copy() for start, end in itertools.pairwise(seq_offsets)
    ]


def _scatter(notes, counts, where):
    if len(counts) > MAX_STEPS:
        raise ValueError(
            f"A data set may have at most {MAX_STEPS} steps. "
            f"Received: {where} with steps={len(counts)}."
        )
    wrong = notes[(notes < LOWEST_NOTE) | (notes > HIGHEST_NOTE)]
    if wrong.size:
        raise ValueError(
            f"MIDI notes must be between {LOWEST_NOTE} and {HIGHEST_NOTE}, "
            f"the keys of a piano. Received: {where} with note={wrong[0]}."
        )
    roll = np.zeros((len(counts), NUM_NOTES), "uint8")
    roll[np.repeat(np.arange(len(counts)), counts), notes - LOWEST_NOTE] = 1
    return roll
