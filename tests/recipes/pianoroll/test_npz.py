"""Piano rolls in `.npz` files, which Keras comes with."""

import itertools
import sys

import numpy as np
import pytest

from recipes.errors import FileError
from recipes.pianoroll import bach
from recipes.pianoroll.data import independent_notes_baseline, load
from recipes.pianoroll.files import read_splits, write_splits
from recipes.pianoroll.rolls import MAX_STEPS, SPLITS, roll_from_notes
from tests.hostile_files import hostile_npz, mutated
from tests.recipes.plain.pianoroll.test_bach import corpus_of_few_pieces
from tests.recipes.plain.pianoroll.test_data import (
    assert_same_splits,
    rolls_of_songs,
)


def test_what_is_written_comes_back_equal(tmp_path):
    write_splits(tmp_path / "songs.npz", rolls_of_songs())
    assert_same_splits(read_splits(tmp_path / "songs.npz"), rolls_of_songs())


def test_the_content_tells_the_kind_of_a_file(tmp_path):
    write_splits(tmp_path / "songs.npz", rolls_of_songs())
    renamed = (tmp_path / "songs.npz").rename(tmp_path / "songs.pkl")
    assert_same_splits(read_splits(renamed), rolls_of_songs())


@pytest.mark.parametrize(
    ("name", "counts", "test_steps", "baseline"),
    [
        ("jsb", (229, 76, 77), 4725, -11.060),
        ("nottingham", (694, 173, 170), 44463, -10.252),
        ("musedata", (524, 135, 124), 64339, -11.510),
        ("piano_midi", (87, 12, 25), 19036, -11.046),
    ],
)
def test_the_canonical_sets_have_their_known_numbers(
    shared_dir, name, counts, test_steps, baseline
):
    path = shared_dir / "data" / "pianorolls" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the shared folder")
    rolls = load(name, path)
    assert tuple(len(rolls.split(split)) for split in SPLITS) == counts
    assert sum(map(len, rolls.test)) == test_steps
    with np.load(path) as arrays:
        np.testing.assert_allclose(
            rolls.train_mean, arrays["train_mean"], atol=1e-7
        )
    assert round(independent_notes_baseline(rolls), 3) == baseline


@pytest.mark.parametrize("name", ["jsb.pkl", "JSB_Chorales.mat"])
def test_the_chorales_are_the_same_in_all_files(shared_dir, name):
    folder = shared_dir / "data" / "pianorolls"
    if not (folder / name).is_file():
        pytest.skip(f"no {name} in the shared folder")
    assert_same_splits(
        read_splits(folder / name), read_splits(folder / "jsb.npz")
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train_notes", np.array([60.0]), "must be integers"),
        ("train_notes", np.array([[60]], object), "damaged"),
        ("train_step_offsets", np.array([0, 3, 2, 4, 5]), "rise from 0 to 5"),
        ("train_step_offsets", np.array([0, 1, 2, 3, 9]), "rise from 0 to 5"),
        ("train_seq_offsets", np.array([1, 4]), "rise from 0 to 4"),
        ("train_seq_offsets", np.array([], int), "rise from 0 to 4"),
        ("valid_notes", np.array([3]), "between 21 and 108"),
        ("valid_notes", None, "lacks valid_notes"),
    ],
)
def test_an_npz_whose_arrays_do_not_fit_is_refused(
    tmp_path, key, value, message
):
    write_splits(tmp_path / "songs.npz", rolls_of_songs())
    with np.load(tmp_path / "songs.npz") as content:
        arrays = dict(content)
    arrays[key] = value
    if value is None:
        del arrays[key]
    np.savez(tmp_path / "songs.npz", **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        read_splits(tmp_path / "songs.npz")
    assert "Received: " in str(raised.value)


@pytest.fixture
def cached_rolls(tmp_path):
    """A cache folder with three tiny splits in place of the chorales."""
    splits = {
        split: [roll_from_notes([(60 + index,), ()])]
        for index, split in enumerate(SPLITS)
    }
    write_splits(tmp_path / "bach-1.npz", splits)
    return splits


def test_a_cached_result_needs_no_music21(tmp_path, cached_rolls, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    rolls = load("bach", cache_dir=tmp_path)
    np.testing.assert_array_equal(rolls.valid[0], cached_rolls["valid"][0])


def test_parsing_is_kept_and_a_damaged_result_is_made_again(
    tmp_path, monkeypatch, capsys
):
    pytest.importorskip("music21", reason="music21 is not installed")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    corpus_of_few_pieces(corpus)
    monkeypatch.setattr(bach, "_corpus_folder", lambda: corpus)
    first = load("bach", cache_dir=tmp_path)
    assert "Parsing" in capsys.readouterr().out
    assert sum(len(first.split(split)) for split in SPLITS) == 39
    again = load("bach", cache_dir=tmp_path)
    assert "Parsing" not in capsys.readouterr().out
    cache = tmp_path / "bach-1.npz"
    cache.write_bytes(cache.read_bytes()[:500])
    with pytest.warns(UserWarning, match="Parsing the chorales again"):
        rebuilt = load("bach", cache_dir=tmp_path, show_progress=False)
    assert capsys.readouterr().out == ""
    for split in SPLITS:
        for rolls in zip(
            *(data.split(split) for data in (first, again, rebuilt)),
            strict=True,
        ):
            for one, other in itertools.pairwise(rolls):
                np.testing.assert_array_equal(one, other)


def test_hostile_files_are_refused_by_name(tmp_path):
    path = tmp_path / "songs.npz"
    for label, content in hostile_npz("train_notes").items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match="Received: path=") as told:
            read_splits(path)
        assert str(path) in str(told.value), label


@pytest.mark.parametrize(
    ("steps", "sequences", "message"),
    [
        (MAX_STEPS + 1, [0, MAX_STEPS + 1], "at most 2000000 steps"),
        (3, [0, 0, 0, 0, 3], "at least one step"),
    ],
)
def test_absurd_numbers_of_steps_are_refused(
    tmp_path, steps, sequences, message
):
    path = tmp_path / "songs.npz"
    write_splits(path, rolls_of_songs())
    with np.load(path) as content:
        arrays = dict(content)
    arrays["train_notes"] = np.zeros(0, "uint8")
    arrays["train_step_offsets"] = np.zeros(steps + 1, "int32")
    arrays["train_seq_offsets"] = np.array(sequences)
    np.savez_compressed(path, **arrays)
    with pytest.raises(FileError, match=f"{message}.*Received: split 'train'"):
        read_splits(path)


def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    path = tmp_path / "songs.npz"
    write_splits(path, rolls_of_songs())
    for content in mutated(path.read_bytes(), 200):
        path.write_bytes(content)
        try:
            load("jsb", path)
        except ValueError as error:
            assert str(path) in str(error)
