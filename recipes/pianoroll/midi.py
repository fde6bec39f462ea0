"""Writes piano rolls as MIDI files."""

import numpy as np

from recipes.packages import require
from recipes.storage import atomic_path

_LOWEST_NOTE = 21
_NUM_NOTES = 88
_TICKS_PER_QUARTER = 480


def write_midi(
    path, roll, tempo=90, steps_per_quarter=1, program=0, velocity=72
):
    """Writes a piano roll as a MIDI file of one track.

    A note that sounds in consecutive steps is held, not struck again: a roll
    does not tell the two apart.

    Args:
        path: Path of the file, which appears whole or not at all.
        roll: Array `(steps, 88)` of zeros and ones (above one half counts as
            one); column i is MIDI note 21 + i.
        tempo: float. Quarter notes per minute. Default: 90.
        steps_per_quarter: int. Default: 1, the grid of the chorales.
        program: int. General MIDI instrument, 0 to 127. Default: 0, a piano;
            19 is a church organ, 52 a choir.
        velocity: int. Loudness, 1 to 127. Default: 72.

    Raises:
        ImportError: mido is not installed.
        ValueError: The roll is not `(steps, 88)`, or a setting is out of its
            range.
    """
    require("Writing MIDI files", "music", "mido")
    import mido

    roll = np.asarray(roll)
    check_roll(roll, tempo, steps_per_quarter)
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    track.append(mido.Message("program_change", program=program))
    ticks = _TICKS_PER_QUARTER // steps_per_quarter
    last = 0
    for step, kind, note in note_events(roll > 0.5):
        track.append(
            mido.Message(
                kind,
                note=note,
                velocity=velocity if kind == "note_on" else 0,
                time=(step - last) * ticks,
            )
        )
        last = step
    track.append(
        mido.MetaMessage("end_of_track", time=(len(roll) - last) * ticks)
    )
    midi = mido.MidiFile(ticks_per_beat=_TICKS_PER_QUARTER, tracks=[track])
    with atomic_path(path) as partial:
        midi.save(partial)


def note_events(roll):
    """Yields starts and ends of notes, in order, as `(step, kind, note)`."""
    silence = np.zeros((1, roll.shape[1]), "int8")
    change = np.diff(np.concatenate([silence, roll, silence]), axis=0)
    for step, row in enumerate(change.astype("int8")):
        for kind, sign in (("note_off", -1), ("note_on", 1)):
            for column in np.flatnonzero(row == sign):
                yield step, kind, int(column) + _LOWEST_NOTE


def check_roll(roll, tempo, steps_per_quarter):
    """Raises an error for what cannot be played."""
    if roll.ndim != 2 or roll.shape[1] != _NUM_NOTES or len(roll) == 0:
        raise ValueError(
            "A piano roll must have the shape (steps, 88) and at least one "
            f"step. Received: roll.shape={roll.shape}."
        )
    if not 4 <= tempo <= 1000:
        raise ValueError(
            "`tempo` must be between 4 and 1000 quarter notes per minute. "
            f"Received: tempo={tempo}."
        )
    if steps_per_quarter < 1 or _TICKS_PER_QUARTER % steps_per_quarter:
        raise ValueError(
            f"`steps_per_quarter` must divide {_TICKS_PER_QUARTER}. "
            f"Received: steps_per_quarter={steps_per_quarter}."
        )
