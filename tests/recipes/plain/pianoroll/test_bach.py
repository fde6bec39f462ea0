import importlib.util
import itertools

import numpy as np
import pytest

from recipes.pianoroll import bach
from recipes.pianoroll.data import independent_notes_baseline, load
from recipes.pianoroll.rolls import SPLITS

PART = """<part id="P{index}"><measure number="1">
<attributes><divisions>2</divisions>
<time><beats>{beats}</beats><beat-type>4</beat-type></time></attributes>
{notes}</measure></part>"""
NOTE = """<note><pitch><step>{step}</step><octave>{octave}</octave></pitch>
<duration>{halves}</duration></note>"""
REST = "<note><rest/><duration>{halves}</duration></note>"


def write_piece(path, parts, beats=4):
    """Writes MusicXML; a part is a list of `(name, half quarters)`."""
    names, bodies = "", ""
    for index, part in enumerate(parts):
        notes = "".join(
            REST.format(halves=halves)
            if name is None
            else NOTE.format(step=name[0], octave=name[1], halves=halves)
            for name, halves in part
        )
        names += (
            f'<score-part id="P{index}"><part-name>{index}</part-name>'
            "</score-part>"
        )
        bodies += PART.format(index=index, beats=beats, notes=notes)
    path.write_text(
        '<?xml version="1.0"?><score-partwise version="3.0"><part-list>'
        f"{names}</part-list>{bodies}</score-partwise>"
    )
    return path


@pytest.fixture
def music21():
    return pytest.importorskip("music21", reason="music21 is not installed")


def test_what_sounds_when_a_quarter_starts_counts(music21, tmp_path):
    held = [("C5", 8)]
    path = write_piece(
        tmp_path / "piece.xml",
        [
            held,
            # Between two quarters D4 starts and ends: it is not heard.
            [("C4", 1), ("D4", 1), ("E4", 3), ("F4", 3)],
            [("C3", 2), (None, 2), ("G3", 4)],
            [("C2", 6), (None, 2)],
        ],
    )
    roll = bach.parse_chorale(path)
    notes = [(np.flatnonzero(row) + 21).tolist() for row in roll]
    assert notes == [
        [36, 48, 60, 72],
        [36, 64, 72],
        [36, 55, 64, 72],
        [55, 65, 72],
    ]


def test_silence_at_the_end_is_left_out(music21, tmp_path):
    part = [("C4", 2), (None, 2), ("C4", 2), (None, 2)]
    roll = bach.parse_chorale(write_piece(tmp_path / "piece.xml", [part] * 4))
    assert roll[:, 60 - 21].tolist() == [1, 0, 1]


@pytest.mark.parametrize(("num_parts", "beats"), [(3, 4), (5, 4), (4, 2)])
def test_other_pieces_are_left_out(music21, tmp_path, num_parts, beats):
    part = [("C4", 2 * beats)]
    path = write_piece(tmp_path / "piece.xml", [part] * num_parts, beats)
    assert bach.parse_chorale(path) is None


def test_a_piece_of_the_corpus_is_read(music21):
    folder = bach._corpus_folder()
    roll = bach.parse_chorale(folder / "bwv66.6.mxl")
    assert roll.shape == (36, 88)
    assert roll.sum(axis=1).max() == 4
    # The quarter before the first bar: A3 (tenor and bass), E4, C sharp 5.
    assert (np.flatnonzero(roll[0]) + 21).tolist() == [57, 64, 73]
    # The end, in F sharp major.
    assert (np.flatnonzero(roll[-1]) + 21).tolist() == [54, 58, 61, 66]


def test_the_movements_of_a_work_go_together():
    for title in ("bwv20.11.mxl", "bwv20.7.mxl", "bwv20"):
        assert bach.split_of_work(title) == bach.split_of_work("bwv20.1")
    for one, other in bach._SAME_MUSIC.items():
        assert bach.split_of_work(one) == bach.split_of_work(other)


def test_the_split_of_a_work_never_changes():
    elsewhere = {5: "valid", 7: "test", 8: "test", 11: "valid"}
    for number in range(1, 13):
        expected = elsewhere.get(number, "train")
        assert bach.split_of_work(f"bwv{number}") == expected
    shares = [bach.split_of_work(f"bwv{n}") for n in range(10_000)]
    for split, share in (("train", 0.7), ("valid", 0.15), ("test", 0.15)):
        # Three standard errors of a share of 10,000 draws.
        assert abs(shares.count(split) / 10_000 - share) < 0.014


def test_without_music21_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "keras_fivo\[music\]"'):
        load("bach", cache_dir=tmp_path)


def corpus_of_few_pieces(folder):
    for number in range(1, 40):
        part = [("C4", 2), ("D4", 2), ("E4", 4)]
        write_piece(folder / f"bwv{number}.xml", [part] * 4)
    return folder


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    music21, tmp_path, monkeypatch
):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    monkeypatch.setattr(bach, "_corpus_folder", lambda: corpus)
    corpus_of_few_pieces(corpus)
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="could not be kept"):
        rolls = load("bach", cache_dir=tmp_path / "file", show_progress=False)
    assert len(rolls.test) > 0


@pytest.fixture(scope="module")
def chorales(tmp_path_factory):
    pytest.importorskip("music21", reason="music21 is not installed")
    folder = tmp_path_factory.mktemp("cache")
    return load("bach", cache_dir=folder, show_progress=False)


@pytest.mark.slow
def test_the_chorales_have_their_known_numbers(chorales):
    rolls = chorales.train + chorales.valid + chorales.test
    steps = np.concatenate(rolls)
    notes = np.flatnonzero(steps.any(axis=0)) + 21
    assert len(rolls) == 367
    assert len(steps) == 19_897
    assert round(steps.sum() / len(steps), 3) == 3.873
    assert (notes[0], notes[-1]) == (36, 81)
    counts = [len(chorales.split(split)) for split in SPLITS]
    assert counts == [265, 51, 51]
    assert independent_notes_baseline(chorales) == pytest.approx(
        -11.388, abs=1e-3
    )


def chord_changes(roll):
    """Pairs of neighbouring chords, whatever the key."""
    chords = [np.flatnonzero(row) for row in roll if row.any()]
    return {
        (tuple(one - one[0]), tuple(other - one[0]))
        for one, other in itertools.pairwise(chords)
    }


@pytest.mark.slow
def test_no_chorale_of_the_test_split_is_in_another_one(chorales):
    changes = {
        split: [chord_changes(roll) for roll in chorales.split(split)]
        for split in SPLITS
    }
    shared = [
        len(one & other) / min(len(one), len(other))
        for left, right in itertools.combinations(SPLITS, 2)
        for one, other in itertools.product(changes[left], changes[right])
    ]
    assert len(shared) == 265 * 51 * 2 + 51 * 51
    assert max(shared) < 0.65
