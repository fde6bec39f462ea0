"""Reads cells of matrices from MATLAB 5 files.

By hand, since SciPy's reader trusts what a file says of its sizes: a damaged
one ends the process. A file is a header of 128 bytes and elements, each a
type, a size and content; a matrix is an element of elements.
"""

import math
import pathlib
import struct
import zlib

import numpy as np

from recipes.errors import FileError, reading

MAGIC = b"MATLAB"
MAX_BYTES = 2**28
_MAX_ITEMS = 2**20
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4"},
    **{9: "f8", 12: "i8", 13: "u8"},
}
_CELL, _FIRST_NUMERIC, _LAST_NUMERIC = 1, 6, 15  # classes of matrices
_COMPLEX = 0x800


def read_cells(path, names):
    """Reads cells whose items are matrices of real numbers.

    Args:
        path: Path of the file.
        names: Names of the cells.

    Returns:
        A dict from name to a list of arrays `(rows, columns)`.

    Raises:
        FileError: The file is damaged, too large, or lacks a cell.
    """
    with reading(path, "a MATLAB 5 file of cells of matrices"):
        content = pathlib.Path(path).read_bytes()
        if len(content) > MAX_BYTES:
            raise MemoryError(f"more than {MAX_BYTES} bytes")
        order = {b"IM": "<", b"MI": ">"}[content[_HEADER - 2 : _HEADER]]
        found = {}
        for kind, body in _elements(memoryview(content)[_HEADER:], order):
            if kind == _COMPRESSED:
                ((kind, body),) = _elements(_inflate(body), order)
            kind, shape, name, parts = _matrix(kind, body, order)
            if kind == _CELL and name in names:
                if math.prod(shape) > _MAX_ITEMS:
                    raise MemoryError(f"{name!r} of shape {shape}")
                found[name] = [
                    _numbers(*next(parts), order)
                    for _ in range(math.prod(shape))
                ]
    missing = [name for name in names if name not in found]
    if missing:
        raise FileError(
            f"A .mat file of piano rolls needs the cells {', '.join(names)}. "
            f"Received: path={path!s} without {', '.join(missing)}."
        )
    return found


def _elements(content, order):
    """Yields type and content of each element."""
    while len(content):
        kind, size = struct.unpack_from(f"{order}2I", content)
        start = 8
        if kind >> 16:  # of four bytes at most, which stand beside the type
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
        end = start + size
        if size > len(content) - start or (start == 4 and size > 4):
            raise ValueError(f"an element of {size} bytes")
        yield kind, content[start:end]
        content = content[end if kind == _COMPRESSED else end + -end % 8 :]


def _inflate(body):
    stream = zlib.decompressobj()
    content = stream.decompress(body, MAX_BYTES)
    if not stream.eof:
        raise ValueError("cut short, or too large")
    return memoryview(content)


def _matrix(kind, body, order):
    """Returns class and flags, shape, name, and the elements that follow."""
    if kind != _MATRIX:
        raise TypeError(f"an element of type {kind}")
    parts = _elements(body, order)
    (flags,) = struct.unpack_from(f"{order}I", next(parts)[1])
    shape = np.frombuffer(next(parts)[1], f"{order}i4").tolist()
    if min(shape) < 0:
        raise ValueError(f"a shape of {shape}")
    name = bytes(next(parts)[1]).decode("latin1")
    return flags & (_COMPLEX | 0xFF), shape, name, parts


def _numbers(kind, body, order):
    """Returns the array `(rows, columns)` of a matrix within a cell."""
    if not len(body):
        return np.zeros((0, 0))
    kind, shape, _, parts = _matrix(kind, body, order)
    if not _FIRST_NUMERIC <= kind <= _LAST_NUMERIC:
        raise TypeError("a cell of what is no array of real numbers")
    code, data = next(parts)
    numbers = np.frombuffer(data, order + _NUMBERS[code])
    return numbers.reshape(shape, order="F")
