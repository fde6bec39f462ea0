import sys

import numpy as np
import pytest

from recipes.pianoroll.midi import write_midi
from recipes.pianoroll.rolls import roll_from_notes

NOTES = [(60, 64), (60,), (60, 67), (), (108, 21), ()]


@pytest.fixture
def mido():
    return pytest.importorskip("mido", reason="mido is not installed")


def roll_of(midi, steps):
    """Plays the file back: which notes sound at the start of each step."""
    roll, sounding, tick = np.zeros((steps, 88), "uint8"), set(), 0
    for message in midi.tracks[0]:
        end = tick + message.time
        first, last = (-(-time // midi.ticks_per_beat) for time in (tick, end))
        for note in sounding:
            roll[first:last, note - 21] = 1
        tick = end
        if message.type == "note_on":
            sounding.add(message.note)
        elif message.type == "note_off":
            sounding.remove(message.note)
    assert not sounding
    assert tick == steps * midi.ticks_per_beat
    return roll


def test_what_is_written_sounds_like_the_roll(mido, tmp_path):
    roll = (np.random.default_rng(0).random((40, 88)) < 0.2).astype("uint8")
    roll[-3:] = 0
    write_midi(tmp_path / "random.mid", roll)
    midi = mido.MidiFile(tmp_path / "random.mid")
    np.testing.assert_array_equal(roll_of(midi, 40), roll)


def test_a_held_note_is_struck_once(mido, tmp_path):
    write_midi(tmp_path / "held.mid", roll_from_notes(NOTES))
    midi = mido.MidiFile(tmp_path / "held.mid")
    starts = [m.note for m in midi.tracks[0] if m.type == "note_on"]
    assert sorted(starts) == [21, 60, 64, 67, 108]
    np.testing.assert_array_equal(roll_of(midi, 6), roll_from_notes(NOTES))


@pytest.mark.parametrize(("tempo", "steps_per_quarter"), [(60, 1), (120, 4)])
def test_the_tempo_and_grid_give_the_duration(
    mido, tmp_path, tempo, steps_per_quarter
):
    path = tmp_path / "tempo.mid"
    write_midi(
        path,
        roll_from_notes(NOTES),
        tempo=tempo,
        steps_per_quarter=steps_per_quarter,
        program=19,
    )
    midi = mido.MidiFile(path)
    seconds = len(NOTES) / steps_per_quarter * 60 / tempo
    assert midi.length == pytest.approx(seconds)
    assert [m.program for m in midi if m.type == "program_change"] == [19]


def test_samples_may_be_floats(mido, tmp_path):
    roll = roll_from_notes(NOTES)
    write_midi(tmp_path / "one.mid", roll)
    write_midi(tmp_path / "two.mid", roll.astype("float32"))
    first, second = (
        (tmp_path / name).read_bytes() for name in ("one.mid", "two.mid")
    )
    assert first == second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roll": np.zeros((4, 12))}, r"roll\.shape=\(4, 12\)"),
        ({"roll": np.zeros((0, 88))}, r"roll\.shape=\(0, 88\)"),
        ({"tempo": 0}, "tempo=0"),
        ({"steps_per_quarter": 7}, "steps_per_quarter=7"),
        ({"steps_per_quarter": 0}, "steps_per_quarter=0"),
        ({"program": 128}, "0..127"),
    ],
)
def test_bad_arguments_leave_no_file(mido, tmp_path, change, message):
    arguments = {"roll": roll_from_notes(NOTES), **change}
    with pytest.raises(ValueError, match=message):
        write_midi(tmp_path / "bad.mid", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_mido_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(ImportError, match=r'pip install "keras_fivo\[music\]"'):
        write_midi(tmp_path / "song.mid", roll_from_notes(NOTES))
