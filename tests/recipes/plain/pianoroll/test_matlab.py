"""MATLAB files that are damaged, or made to harm."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io

from recipes.errors import FileError
from recipes.pianoroll.matlab import read_cells

NAMES = ["traindata", "validdata"]


def cells(*matrices):
    found = np.empty((1, len(matrices)), object)
    found[0] = matrices
    return found


@pytest.mark.parametrize("compressed", [True, False])
def test_cells_come_back_as_scipy_reads_them(tmp_path, compressed):
    path = tmp_path / "songs.mat"
    kinds = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"]
    content = {
        "other": 3.0,
        "traindata": cells(*(np.eye(3, 88).astype(kind) for kind in kinds)),
        "text": "abc",
        "validdata": cells(np.zeros((0, 88)), np.asfortranarray(np.eye(2, 5))),
        "record": {"a": 1},
    }
    scipy.io.savemat(path, content, do_compression=compressed)
    found, expected = read_cells(path, NAMES), scipy.io.loadmat(path)
    assert list(found) == NAMES
    for name in NAMES:
        for one, other in zip(found[name], expected[name][0], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_a_file_of_the_other_byte_order_is_read(tmp_path):
    path = tmp_path / "songs.mat"
    matrix = np.arange(6.0).reshape(2, 3)
    path.write_bytes(
        file_of(cell("traindata", [numbers(matrix, ">")], ">"), ">")
    )
    np.testing.assert_array_equal(
        read_cells(path, ["traindata"])["traindata"][0], matrix
    )


def element(kind, content, order="<"):
    head = struct.pack(f"{order}2I", kind, len(content))
    return head + content + bytes(-len(content) % 8)


def matrix(kind, shape, name, parts, order="<"):
    return element(
        14,
        element(6, struct.pack(f"{order}2I", kind, 0), order)
        + element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
        + element(1, name.encode(), order)
        + parts,
        order,
    )


def numbers(values, order="<", shape=None):
    content = np.asfortranarray(values).astype(f"{order}f8").tobytes("F")
    data = element(9, content, order)
    shape = values.shape if shape is None else shape
    return matrix(6, shape, "", data, order)


def cell(name, items, order="<", shape=None):
    shape = (1, len(items)) if shape is None else shape
    return matrix(1, shape, name, b"".join(items), order)


def file_of(content, order="<"):
    version = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    return b"MATLAB 5.0".ljust(124) + version + content


ONE = numbers(np.eye(2))
HOSTILE = {
    "nothing": b"",
    "a header alone": file_of(b""),
    "no byte order": b"MATLAB 5.0".ljust(140),
    "a cut element": file_of(element(14, bytes(80))[:50]),
    "a size of 4 GB": file_of(struct.pack("<2I", 14, 2**32 - 1)),
    "a small element of 65535 bytes": file_of(
        struct.pack("<2I", 0xFFFF0001, 0)
    ),
    "no flags": file_of(element(14, b"")),
    "flags of no bytes": file_of(element(14, element(6, b""))),
    "a shape of no axes": file_of(cell("traindata", [ONE], shape=[])),
    "10^9 items": file_of(cell("traindata", [ONE], shape=(1, 10**9))),
    "fewer items": file_of(cell("traindata", [ONE], shape=(1, 2))),
    "negative items": file_of(cell("traindata", [ONE], shape=(-1, -1))),
    "10^18 numbers": file_of(
        cell("traindata", [numbers(np.eye(2), shape=(10**9, 10**9))])
    ),
    "negative numbers": file_of(
        cell("traindata", [numbers(np.eye(2), shape=(-2, -2))])
    ),
    "a cell in a cell": file_of(cell("traindata", [cell("", [ONE])])),
    "text": file_of(cell("traindata", [matrix(4, (1, 1), "", b"")])),
    "numbers of no known type": file_of(
        cell("traindata", [matrix(6, (1, 1), "", element(77, bytes(8)))])
    ),
    "no compressed stream": file_of(element(15, b"nothing")),
    "a cut compressed stream": file_of(
        element(15, zlib.compress(cell("traindata", [ONE]))[:-9])
    ),
    "a bomb": file_of(element(15, zlib.compress(bytes(2**28 + 1), 1))),
    "two in one stream": file_of(
        element(15, zlib.compress(cell("traindata", [ONE]) * 2))
    ),
    "no such cell": file_of(cell("songs", [ONE])),
}


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, label):
    path = tmp_path / "hostile.mat"
    path.write_bytes(HOSTILE[label])
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="Received: path=") as told:
            read_cells(path, ["traindata"])
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()
    assert str(path) in str(told.value)
