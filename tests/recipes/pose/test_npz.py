"""Poses in `.npz` files, which Keras comes with."""

import numpy as np
import pytest

from recipes.errors import FileError
from recipes.pose import files
from recipes.pose.data import load
from recipes.pose.files import read_splits, write_npz
from recipes.pose.poses import SPLITS
from tests.hostile_files import hostile_npz, mutated
from tests.recipes.plain.pose.test_files import (
    STEPS,
    assert_same,
    content,
    write_pickle,
)


def test_what_is_written_comes_back_equal(tmp_path):
    expected = content()
    mean = expected["train_mean"].astype("float32")
    write_npz(tmp_path / "poses.npz", expected, mean)
    found = read_splits(tmp_path / "poses.npz")
    assert_same(found, expected)
    np.testing.assert_array_equal(found["given_mean"], mean)


def test_a_split_may_be_one_array_of_equal_lengths(tmp_path):
    stacked = {split: np.ones((2, 3, 64), "float32") for split in SPLITS}
    np.savez(tmp_path / "poses.npz", **stacked)
    found = read_splits(tmp_path / "poses.npz")
    assert [x.shape for x in found["test"]] == [(3, 64), (3, 64)]
    path = write_pickle(tmp_path / "poses.pkl", stacked)
    assert_same(read_splits(path), found)
    assert found["given_mean"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_lengths": [2, 2]}, "split 'train' .*lengths"),
        ({"train_lengths": [2.0, 1.0]}, "split 'train' .*lengths"),
        ({"train_lengths": [3, 0]}, "split 'train' .*lengths"),
        ({"train_lengths": [2**62, -(2**62) + 3]}, "split 'train' .*lengths"),
        (
            {"train": STEPS[:, :1], "train_lengths": [3]},
            "split 'train' .*of sh",
        ),
        ({"train": np.zeros((9, 0, 64))}, r"split 'train' .*\(9, 0, 64\)"),
        ({"train": np.array(["text"])}, r"split 'train' .*shape=\(1,\)"),
        ({"train": np.array([None])}, "path="),
        ({"train_mean": np.array("text")}, "train_mean of .*which is not"),
    ],
)
def test_what_is_not_of_poses_is_refused(tmp_path, changes, message):
    path = tmp_path / "poses.npz"
    np.savez(path, **({split: STEPS[None] for split in SPLITS} | changes))
    with pytest.raises(ValueError, match=f"Received: {message}") as told:
        load("pose", path)
    assert str(path) in str(told.value)


def test_too_many_values_are_refused(tmp_path, monkeypatch):
    write_npz(tmp_path / "poses.npz", content())
    monkeypatch.setattr(files, "MAX_VALUES", 100)
    with pytest.raises(FileError, match=r"at most 100 values.*poses\.npz of"):
        load("pose", tmp_path / "poses.npz")


def test_hostile_files_are_refused_by_name(tmp_path):
    path = tmp_path / "poses.npz"
    for label, hostile in hostile_npz("train").items():
        path.write_bytes(hostile)
        with pytest.raises(ValueError, match="Received: ") as told:
            load("pose", path)
        assert str(path) in str(told.value), label


def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    path = tmp_path / "poses.npz"
    write_npz(path, content())
    for damaged in mutated(path.read_bytes(), 200):
        path.write_bytes(damaged)
        try:
            load("pose", path)
        except ValueError as error:
            assert str(path) in str(error)
