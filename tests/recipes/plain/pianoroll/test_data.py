import pickle

import numpy as np
import pytest
import scipy.io

from recipes.pianoroll import matlab
from recipes.pianoroll.data import independent_notes_baseline, load
from recipes.pianoroll.files import read_splits
from recipes.pianoroll.rolls import (
    MAX_STEPS,
    SPLITS,
    PianoRolls,
    pack,
    roll_from_notes,
    unpack,
)

SONGS = {
    "train": [[(60, 64), (), (21, 108)], [[62]]],
    "valid": [[(60,)]],
    "test": [[(), (60, 61, 62)]],
}


def assert_same_splits(left, right):
    for split in SPLITS:
        for one, other in zip(left[split], right[split], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype == np.uint8


def rolls_of_songs():
    return {
        split: [roll_from_notes(song) for song in songs]
        for split, songs in SONGS.items()
    }


def write_mat(path, splits):
    cells = {}
    for split, rolls in splits.items():
        cells[f"{split}data"] = np.empty((1, len(rolls)), object)
        cells[f"{split}data"][0] = rolls
    scipy.io.savemat(path, cells)


def write_pickle(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))


def changed(**splits):
    return {**SONGS, **splits}


def test_notes_become_columns_counted_from_note_21():
    roll = roll_from_notes([(60, 62), (), (21, 108, 64), (64,)])
    assert roll.shape == (4, 88)
    rows, columns = np.nonzero(roll)
    assert rows.tolist() == [0, 0, 2, 2, 2, 3]
    assert (columns + 21).tolist() == [60, 62, 21, 64, 108, 64]


def test_notes_become_rolls_as_in_the_original(golden):
    expected = golden("datasets")["sparse_to_dense/example"]
    roll = roll_from_notes([(60, 62), (), (21, 108, 64), (64,)])
    np.testing.assert_array_equal(roll, expected)


def test_the_same_music_in_two_kinds_of_files_is_the_same(tmp_path):
    write_pickle(tmp_path / "songs.pkl", SONGS)
    write_mat(tmp_path / "songs.mat", rolls_of_songs())
    for name in ("songs.pkl", "songs.mat"):
        assert_same_splits(read_splits(tmp_path / name), rolls_of_songs())


def test_packing_is_undone_by_unpacking():
    rolls = rolls_of_songs()["train"]
    notes, step_offsets, seq_offsets = pack(rolls)
    assert notes.tolist() == [60, 64, 21, 108, 62]
    assert step_offsets.tolist() == [0, 2, 2, 4, 5]
    assert seq_offsets.tolist() == [0, 3, 4]
    for one, other in zip(
        unpack(notes, step_offsets, seq_offsets), rolls, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_train_mean_counts_steps_of_the_train_split(tmp_path):
    write_pickle(tmp_path / "songs.pkl", SONGS)
    rolls = load("jsb", tmp_path / "songs.pkl")
    expected = np.zeros(88, "float32")
    expected[np.array([60, 64, 62, 21, 108]) - 21] = 0.25
    np.testing.assert_array_equal(rolls.train_mean, expected)
    assert rolls.name == "jsb"
    assert rolls.split("test") is rolls.test


def test_the_baseline_is_a_sum_of_bernoulli_densities(tmp_path):
    write_pickle(tmp_path / "songs.pkl", SONGS)
    rolls = load("jsb", tmp_path / "songs.pkl")
    # Five notes sound in a quarter of the train steps. Of the test steps one
    # is silent; the other has note 60, not 64, 62, 21 or 108 ... but 61, 62.
    often, rare = np.log(0.25), np.log(1e-6)
    not_often, not_rare = np.log(0.75), np.log1p(-1e-6)
    silent = 5 * not_often + 83 * not_rare
    second = 2 * often + 3 * not_often + rare + 82 * not_rare
    value = independent_notes_baseline(rolls)
    assert value == pytest.approx((silent + second) / 2, rel=1e-6)


def test_a_pickle_of_the_original_gives_the_original_targets(
    shared_dir, golden
):
    expected = golden("datasets")
    path = shared_dir / "golden" / "synthetic_pianoroll.pkl"
    if not path.is_file():
        pytest.skip(f"no reference file {path.name}")
    rolls = load("jsb", data_path=path)
    for split in SPLITS:
        for index, roll in enumerate(rolls.split(split)):
            batch, row = divmod(index, 2)
            prefix = f"synthetic/{split}/bs2/batch{batch}"
            steps = expected[f"{prefix}/lengths"][row]
            targets = expected[f"{prefix}/targets"][:steps, row]
            np.testing.assert_array_equal(roll[:, 9:21], targets)
            assert roll.sum() == targets.sum()
    np.testing.assert_allclose(
        rolls.train_mean[9:21], expected["synthetic/mean"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(test=[]), r"at least one sequence.*split 'test'"),
        (changed(test=[[]]), r"at least one step.*sequence 0 of split 'test'"),
        (changed(train=[[(60,), (20,)]]), r"between 21 and 108.*note=20"),
        (changed(train=[[(109,)]]), r"between 21 and 108.*note=109"),
        (changed(train=[[(60.5,)]]), r"must be integers.*60.5"),
        (changed(train=[[60, 61]]), r"list of steps.*sequence 0 of train"),
        (changed(valid=[["60"]]), r"must be integers"),
        (changed(valid=7), r"dict of lists train, valid, test"),
        ({"train": SONGS["train"]}, r"dict of lists train, valid, test"),
        ([SONGS], r"dict of lists train, valid, test"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path, content, message):
    write_pickle(tmp_path / "songs.pkl", content)
    with pytest.raises(ValueError, match=message) as raised:
        load("jsb", tmp_path / "songs.pkl")
    assert "Received: " in str(raised.value)


@pytest.mark.parametrize("suffix", ["mat", "pkl"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"songs.{suffix}"
    if suffix == "mat":
        write_mat(path, rolls_of_songs())
    else:
        write_pickle(path, SONGS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    with pytest.raises(ValueError, match=r"damaged.*Received: path="):
        read_splits(path)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.zeros((3, 12), "uint8"), r"\(steps, 88\).*\(3, 12\)"),
        (np.full((3, 88), 2, "uint8"), "zeros and ones"),
        (np.full((3, 88), np.nan), "zeros and ones"),
        (np.array(["text"]), "array of real numbers"),
    ],
)
def test_cells_that_are_no_piano_rolls_are_refused(tmp_path, cell, message):
    splits = {**rolls_of_songs(), "valid": [cell]}
    write_mat(tmp_path / "songs.mat", splits)
    with pytest.raises(ValueError, match=message) as raised:
        load("jsb", tmp_path / "songs.mat")
    assert "Received: " in str(raised.value)


def test_a_mat_file_without_the_splits_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    with pytest.raises(ValueError, match="traindata, validdata, testdata"):
        read_splits(tmp_path / "other.mat")


def test_absurd_sizes_are_refused(tmp_path, monkeypatch):
    write_mat(tmp_path / "songs.mat", rolls_of_songs())
    monkeypatch.setattr(matlab, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        read_splits(tmp_path / "songs.mat")
    with pytest.raises(ValueError, match=f"at most {MAX_STEPS} steps"):
        roll_from_notes([()] * (MAX_STEPS + 1))
    # Few bytes, as all sequences are one.
    song = [()] * 10_000
    write_pickle(tmp_path / "songs.pkl", changed(train=[song] * 1000))
    with pytest.raises(ValueError, match=f"at most {MAX_STEPS} steps.*path|of"):
        read_splits(tmp_path / "songs.pkl")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "songs.txt").write_text("60 64 67")
    with pytest.raises(ValueError, match=r"MATLAB 5.*Received: path="):
        read_splits(tmp_path / "songs.txt")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: path="):
        load("jsb", tmp_path / "absent.npz")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"bach, jsb, nottingham, musedata, piano_midi.*name='jazz'",
    ):
        load("jazz")


def test_an_unknown_split_lists_the_known_ones():
    rolls = PianoRolls("jsb", **rolls_of_songs())
    with pytest.raises(ValueError, match=r"train, valid, test.*split='dev'"):
        rolls.split("dev")
