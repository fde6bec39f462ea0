import numpy as np
import pytest

from recipes.pianoroll.sound import RATE, play


def loudest_frequency(sound, start, stop):
    """In a stretch of seconds, in hertz."""
    part = sound[round(start * RATE) : round(stop * RATE)].astype(float)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return np.fft.rfftfreq(len(part), 1 / RATE)[spectrum.argmax()]


def test_each_note_is_heard_when_it_sounds():
    roll = np.zeros((4, 88))
    roll[0, 69 - 21] = roll[2, 57 - 21] = 1  # A4 and A3
    sound = play(roll, tempo=60)
    assert sound.dtype == np.int16
    assert len(sound) == pytest.approx(4 * RATE, rel=0.03)
    assert loudest_frequency(sound, 0.1, 0.9) == pytest.approx(440, abs=3)
    assert loudest_frequency(sound, 2.1, 2.9) == pytest.approx(220, abs=3)
    silent = [sound[round(t * RATE)] for t in (1.5, 3.5)]
    assert silent == [0, 0]


def test_a_held_note_is_not_struck_again():
    held, struck = np.zeros((3, 88)), np.zeros((3, 88))
    held[:2, 40] = struck[0, 40] = struck[2, 40] = 1
    first, second = (
        np.abs(play(x, 60)[RATE : 2 * RATE]) for x in (held, struck)
    )
    assert first.max() > 1000
    assert second[round(0.1 * RATE) :].max() == 0


def test_the_highest_note_does_not_fold_back():
    roll = np.zeros((1, 88))
    roll[0, 87] = 1  # 4,186 hertz: its second overtone is above half the rate
    spectrum = np.abs(np.fft.rfft(play(roll).astype(float)))
    frequencies = np.fft.rfftfreq(len(play(roll)), 1 / RATE)
    assert spectrum[frequencies < 3000].max() < 0.01 * spectrum.max()


def test_a_silent_roll_makes_no_sound():
    assert not np.any(play(np.zeros((2, 88))))


def test_a_roll_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"Received: roll\.shape"):
        play(np.zeros((2, 12)))
