"""Arrays from `.npz` files, whatever is in them."""

import os
import tracemalloc

import numpy as np
import pytest

import keras_fivo as kf
from tests.hostile_files import hostile_npz, mutated

ARRAYS = {
    "floats": np.arange(6.0, dtype="float32").reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">i2"),
    "truth": np.array([True, False]),
    "one": np.array(7),
    "none": np.zeros((0, 88), "uint8"),
    "text": np.array(["Jesu", "meine Freude"]),
    "bytes": np.array([b"Jesu"]),
}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_wrote_comes_back_equal(tmp_path, write):
    path = tmp_path / "arrays.npz"
    write(path, **ARRAYS)
    loaded = kf.load_arrays(path)
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    assert list(kf.load_arrays(str(path), ["one"])) == ["one"]


def test_what_is_missing_is_named(tmp_path):
    np.savez(tmp_path / "arrays.npz", one=1)
    with pytest.raises(ValueError, match=r"with one, two.*lacks two.*Received"):
        kf.load_arrays(tmp_path / "arrays.npz", ["one", "two"])
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        kf.load_arrays(tmp_path / "absent.npz")
    with pytest.raises(OSError, match="folder"):
        (tmp_path / "folder").mkdir()
        kf.load_arrays(tmp_path / "folder")


def test_large_arrays_need_a_large_file_or_a_limit(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, zeros=np.zeros(10**5, "uint8"))
    with pytest.raises(ValueError, match=r"100\d\d\d bytes, more than 5000"):
        kf.load_arrays(path, max_bytes=5000)
    assert len(kf.load_arrays(path)["zeros"]) == 10**5
    np.savez(path, zeros=np.zeros(10**5, "uint8"))
    assert len(kf.load_arrays(path, max_bytes=0)["zeros"]) == 10**5


def test_hostile_files_are_refused_by_name_and_before_they_take_memory(
    tmp_path,
):
    path = tmp_path / "hostile.npz"
    hostile = hostile_npz("one", with_bomb=True)
    assert len(hostile) > 35
    for label, content in hostile.items():
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError) as told:
                kf.load_arrays(path, ["one"])
            assert tracemalloc.get_traced_memory()[1] < 2**24, label
        finally:
            tracemalloc.stop()
        assert f"Received: path={str(path)!r}" in str(told.value), label
        assert "`numpy.savez`" in str(told.value), label
        assert str(told.value).isprintable() and len(str(told.value)) < 800
    assert os.listdir(tmp_path) == ["hostile.npz"]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_damaged_files_give_arrays_or_an_error_that_names_them(tmp_path, write):
    path = tmp_path / "damaged.npz"
    write(path, **ARRAYS)
    num_refused = 0
    for content in mutated(path.read_bytes(), 400):
        path.write_bytes(content)
        try:
            loaded = kf.load_arrays(path)
        except ValueError as error:
            assert f"Received: path={str(path)!r}" in str(error)
            num_refused += 1
        else:
            assert sum(array.nbytes for array in loaded.values()) < 2**20
    assert num_refused > 200
