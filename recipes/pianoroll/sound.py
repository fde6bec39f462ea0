"""Plays piano rolls, simply."""

import numpy as np

from recipes.pianoroll.midi import check_roll, note_events

RATE = 16_000
_OVERTONES = 6
_ATTACK, _RELEASE, _DECAY = 0.01, 0.08, 1.5  # seconds


def play(roll, tempo=90, steps_per_quarter=1):
    """Plays a piano roll: struck strings of a few overtones.

    Args:
        roll: Array `(steps, 88)` of zeros and ones; see `write_midi`.
        tempo: float. Quarter notes per minute.
        steps_per_quarter: int. Steps of a quarter note.

    Returns:
        int16 array of samples, `RATE` a second.
    """
    roll = np.asarray(roll)
    check_roll(roll, tempo, steps_per_quarter)
    step = 60 / tempo / steps_per_quarter
    sound = np.zeros(round((len(roll) * step + _RELEASE) * RATE) + 1)
    started = {}
    for time, kind, note in note_events(roll > 0.5):
        if kind == "note_on":
            started[note] = time
            continue
        first = started.pop(note)
        tone = _tone(note, (time - first) * step)
        begin = round(first * step * RATE)
        sound[begin : begin + len(tone)] += tone[: len(sound) - begin]
    loudest = max(np.abs(sound).max(), 1e-9)
    return np.rint(sound * (0.7 * (2**15 - 1) / loudest)).astype("int16")


def _tone(note, seconds):
    """Plays one note, struck and let go after so many seconds."""
    times = np.arange(round((seconds + _RELEASE) * RATE)) / RATE
    frequency = 440 * 2 ** ((note - 69) / 12)  # of MIDI notes, 69 is A4
    sound = np.zeros(len(times))
    for overtone in range(1, _OVERTONES + 1):
        if overtone * frequency < RATE / 2:
            # Higher overtones are softer, and die away sooner.
            fading = np.exp(-times * overtone / _DECAY) / overtone**1.5
            sound += fading * np.sin(2 * np.pi * overtone * frequency * times)
    rising = np.minimum(times / _ATTACK, 1)
    falling = np.clip((seconds + _RELEASE - times) / _RELEASE, 0, 1)
    return sound * rising * falling
