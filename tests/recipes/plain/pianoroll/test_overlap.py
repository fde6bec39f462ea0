"""Melodies that test songs share with training songs."""

import pytest

from recipes.pianoroll.overlap import leaked, shared_melody
from recipes.pianoroll.rolls import roll_from_notes

# Up and down by many intervals, so that each window is one of a kind.
TUNE = [60, 62, 64, 60, 67, 65, 64, 69, 67, 60, 62, 65, 71, 60, 64, 72]


def song(melody, bass=(40,)):
    return roll_from_notes([(note, *bass) for note in melody])


def test_a_transposed_melody_is_found_under_other_voices():
    other = song([note + 5 for note in TUNE], bass=(36, 43))
    assert shared_melody(song(TUNE), [other]) == 1.0
    assert shared_melody(song(TUNE), [song(TUNE[::-1])]) == 0.0
    assert shared_melody(song(TUNE), []) == 0.0


def test_the_share_counts_the_steps_of_one_other_song():
    half, rest = TUNE[:12], TUNE[12:]
    strange = [48, 77, 50, 79, 49, 80, 47, 76, 51, 75, 48, 74]
    first = song([*half, *strange])
    assert shared_melody(first, [song(half)]) == pytest.approx(12 / 24)
    # Two songs that share twelve steps each do not add up.
    both = [song(half), song(strange)]
    assert shared_melody(first, both) == pytest.approx(12 / 24)
    # One more note than half: below the share that counts.
    songs = [first, song([*half, *strange, 55]), song(rest)]
    assert leaked(songs, [song(half)]) == [0]


def test_repeated_notes_and_silence_say_nothing():
    assert shared_melody(song([60] * 20), [song([65] * 20)]) == 0.0
    scale = song(range(50, 70))
    assert shared_melody(scale, [scale]) == 0.0
    silent = song(TUNE)
    silent[::6] = 0
    assert shared_melody(silent, [silent]) == 0.0
