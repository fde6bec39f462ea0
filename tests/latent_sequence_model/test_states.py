"""States of filters in files."""

import json

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.hostile_files import hostile_npz, mutated
from tests.latent_sequence_model.models import assert_same
from tests.reference.examples import numpy

STATE = {"a": (np.ones(2), [np.zeros((1, 3), "int32")]), "b": np.arange(3)}


def test_a_state_may_hold_tuples(tmp_path):
    path = str(tmp_path / "state.npz")
    kf.save_state(path, STATE)
    loaded = numpy(kf.load_state(path))
    keras.tree.assert_same_structure(loaded, STATE)
    assert_same(keras.tree.flatten(loaded), keras.tree.flatten(STATE), 0)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = str(tmp_path / "other.npz")
    np.savez(path, a=np.ones(2))
    with pytest.raises(ValueError, match=r"Received: path=.*\['a'\]"):
        kf.load_state(path)


def write(path, outline, *leaves):
    arrays = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
    np.savez(path, structure=np.array(json.dumps(outline)), **arrays)


@pytest.mark.parametrize(
    "outline",
    [
        {"dict": {"a": 0, "b": 0}},
        {"dict": {"a": 1, "b": 0}},
        {"dict": {"a": 0}},
        {"dict": {"a": 0, "b": 1, "c": 2}},
        {"dict": {"a": 0, "b": 1}, "list": []},
        {"dict": {"a": 0, "b": "1"}},
        {"list": [0, 1]},
        {"set": [0, 1]},
        [0, 1],
        7,
        None,
    ],
)
def test_a_structure_must_name_each_array_once(tmp_path, outline):
    path = str(tmp_path / "state.npz")
    write(path, {"dict": {"a": 0, "b": 1}}, np.ones(2), np.ones(3))
    assert set(kf.load_state(path)) == {"a", "b"}
    write(path, outline, np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"`save_state`.*Received: path=") as e:
        kf.load_state(path)
    assert repr(path) in str(e.value)


def test_hostile_files_are_refused_by_name(tmp_path):
    path = str(tmp_path / "state.npz")
    hostile = hostile_npz("structure")
    np.savez(tmp_path / "deep.npz", structure="[" * 10**5)
    np.savez(tmp_path / "long.npz", structure=" " * (2**20 + 1))
    np.savez(tmp_path / "number.npz", structure=1.5)
    for name in ("deep", "long", "number"):
        hostile[name] = (tmp_path / f"{name}.npz").read_bytes()
    for label, content in hostile.items():
        with open(path, "wb") as file:
            file.write(content)
        with pytest.raises(ValueError, match="Received: path=") as told:
            kf.load_state(path)
        assert repr(path) in str(told.value), label


def test_damaged_files_give_a_state_or_an_error_that_names_them(tmp_path):
    path = tmp_path / "state.npz"
    kf.save_state(str(path), STATE)
    for content in mutated(path.read_bytes(), 300):
        path.write_bytes(content)
        try:
            kf.load_state(str(path))
        except ValueError as error:
            assert f"Received: path={str(path)!r}" in str(error)


def test_what_a_kill_left_behind_is_overwritten(tmp_path, monkeypatch):
    path = str(tmp_path / "state.npz")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError))
    monkeypatch.setattr("os.unlink", lambda _: None)
    with pytest.raises(OSError):
        kf.save_state(path, STATE)
    assert [p.name for p in tmp_path.iterdir()] == [".partial-state.npz"]
    monkeypatch.undo()
    kf.save_state(path, STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_a_state_of_the_first_version_left_nothing_out(tmp_path):
    path = str(tmp_path / "state.npz")
    kf.save_state(path, {"step": np.array([3, 5], "int32")})
    state = kf.load_state(path)
    left_out = keras.ops.convert_to_numpy(state["left_out"])
    assert left_out.tolist() == [0, 0] and left_out.dtype == np.int32


def test_a_state_of_half_precision_comes_back_exactly(tmp_path):
    values = [0.0, 1.5, -3e38, float("-inf")]
    state = {"particles": [keras.ops.cast(values, "bfloat16")]}
    kf.save_state(tmp_path / "state.npz", state)
    (found,) = kf.load_state(tmp_path / "state.npz")["particles"]
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    expected = keras.ops.cast(values, "bfloat16")
    np.testing.assert_array_equal(
        numpy(keras.ops.cast(found, "float32")),
        numpy(keras.ops.cast(expected, "float32")),
    )
