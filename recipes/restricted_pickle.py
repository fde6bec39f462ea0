"""Reads pickles of plain data, and refuses everything else.

A pickle is a program: `pickle.load` runs whatever it asks for. The reader here
runs the same machine with a short list of instructions and six NumPy
constructors, each replaced by a stand-in that only records what it was given.
Pickles of Python 2 are read too (their strings as latin1).
"""

import io
import math
import os
import pickle
import pickletools
import typing

import numpy as np

MAX_BYTES = 256 * 2**20

_REFUSED_OPCODES = {
    ord(opcode.code)
    for opcode in pickletools.opcodes
    if opcode.name
    in (
        *("PERSID", "BINPERSID", "OBJ", "NEWOBJ", "NEWOBJ_EX"),
        *("EXT1", "EXT2", "EXT4", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
        *("NEXT_BUFFER", "READONLY_BUFFER"),
    )
}


class RefusedPickleError(ValueError):
    """A pickle that asks for more than plain data."""


def load(path):
    """Reads a pickle file of plain data.

    Admitted are `None`, booleans, integers, floats, strings, bytes, lists,
    tuples, dicts, and NumPy numbers (which become Python's) and arrays of
    numbers.

    Args:
        path: Path of the file, at most 256 MiB.

    Returns:
        The object.

    Raises:
        ValueError: The file is damaged, too large, or asks for anything that
            is not plain data; the message names what was refused.
    """
    size = os.path.getsize(path)
    if size > MAX_BYTES:
        raise ValueError(
            f"A pickle of data may have at most {MAX_BYTES} bytes. "
            f"Received: path={str(path)!r} of {size} bytes."
        )
    with open(path, "rb") as file:
        return loads(file.read(), name=str(path))


def loads(data, name="<bytes>"):
    """Reads a pickle of plain data from bytes; see `load`.

    Args:
        data: bytes.
        name: What error messages call it.

    Returns:
        The object.
    """
    try:
        unpickled = _RestrictedUnpickler(io.BytesIO(data)).load()
        return _resolve(unpickled, {}, set())
    except RefusedPickleError as error:
        raise RefusedPickleError(f"{error} Received: path={name!r}.") from None
    except Exception as error:  # damage shows in a dozen kinds of them
        raise ValueError(
            "The pickle is damaged or cut short "
            f"({type(error).__name__}: {error}). Get the file again. "
            f"Received: path={name!r}."
        ) from error


class _DType:
    """What a pickle says of a NumPy dtype: a number of 1 to 8 bytes."""

    __slots__ = ("_code", "_order")

    def __init__(self, code):
        self._code = code
        self._order = "="

    def __setstate__(self, state):
        if any(part is not None for part in state[2:5]):
            raise RefusedPickleError("Structured arrays are refused.")
        self._order = state[1]

    def resolve(self):
        order = self._order.replace("|", "=")
        return np.dtype(self._code).newbyteorder(order)


class _Array:
    """What a pickle says of a NumPy array; built when all is read."""

    __slots__ = ("_dtype", "_order", "_raw", "_shape")

    def __init__(self, shape=None, dtype=None, order="C", raw=b""):
        self._shape = shape
        self._dtype = dtype
        self._order = order
        self._raw = raw

    def __setstate__(self, state):
        _, self._shape, self._dtype, fortran, self._raw = state
        self._order = "F" if fortran else "C"

    def resolve(self):
        dtype, raw = self._dtype.resolve(), _as_bytes(self._raw)
        shape = tuple(int(size) for size in self._shape)
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ValueError(f"{len(raw)} bytes for an array of shape {shape}")
        values = np.frombuffer(raw, dtype).reshape(shape, order=self._order)
        return values.astype(dtype.newbyteorder("="))


class _Constructor:
    """Stands in for a global, without attributes that a pickle could set."""

    __slots__ = ("_build",)

    def __init__(self, build):
        object.__setattr__(self, "_build", build)

    def __setattr__(self, name, value):
        raise RefusedPickleError("Changing a global is refused.")

    def __setstate__(self, state):
        raise RefusedPickleError("Changing a global is refused.")

    def __call__(self, *args):
        return self._build(*args)


def _as_bytes(raw):
    if isinstance(raw, str):
        return raw.encode("latin1")
    if not isinstance(raw, (bytes, bytearray)):
        raise RefusedPickleError("Arrays of objects are refused.")
    return bytes(raw)


def _build_dtype(code, *flags):
    del flags
    allowed = [kind + size for kind in "iuf" for size in "1248"]
    if code not in ["b1", "?", *allowed]:
        raise RefusedPickleError(
            "Only arrays of booleans, integers and floats are admitted; the "
            f"pickle holds one of dtype {code!r}."
        )
    return _DType(code)


def _build_array(kind, shape, typecode):
    del shape, typecode
    if kind is not _NDARRAY:
        raise RefusedPickleError("Only plain NumPy arrays are admitted.")
    return _Array()


def _build_from_buffer(buffer, dtype, shape, order, *_):
    return _Array(shape, dtype, order, buffer)


def _build_scalar(dtype, raw=b""):
    return np.frombuffer(_as_bytes(raw), dtype.resolve(), 1)[0].item()


def _encode(text, encoding):
    # Python 3 writes bytes in this way for Python 2.
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError(f"The encoding {encoding!r} is refused.")
    return text.encode("latin1")


def _empty_bytes():
    return b""


def _refuse_call(*_):
    raise RefusedPickleError("Calling `numpy.ndarray` is refused.")


_NDARRAY = _Constructor(_refuse_call)
_GLOBALS = {
    ("numpy", "dtype"): _Constructor(_build_dtype),
    ("numpy", "ndarray"): _NDARRAY,
    ("_codecs", "encode"): _Constructor(_encode),
    ("__builtin__", "bytes"): _Constructor(_empty_bytes),
    ("builtins", "bytes"): _Constructor(_empty_bytes),
}
for _core in ("numpy.core", "numpy._core"):  # renamed in NumPy 2
    _multiarray = f"{_core}.multiarray"
    _GLOBALS[_multiarray, "scalar"] = _Constructor(_build_scalar)
    _GLOBALS[_multiarray, "_reconstruct"] = _Constructor(_build_array)
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _Constructor(
        _build_from_buffer
    )


def _refuse_opcode(unpickler):
    raise RefusedPickleError(
        "The pickle uses an instruction that plain data do not need."
    )


class _RestrictedUnpickler(pickle._Unpickler):
    # The unpickler written in Python: unlike the one in C its table of
    # instructions can be cut down, and a huge memo index takes no memory.

    dispatch: typing.ClassVar[dict] = {
        code: _refuse_opcode if code in _REFUSED_OPCODES else read
        for code, read in pickle._Unpickler.dispatch.items()
    }

    def __init__(self, file):
        super().__init__(file, encoding="latin1")

    def find_class(self, module, name):
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise RefusedPickleError(
                "Only lists, tuples, dicts, strings, numbers and NumPy arrays "
                "of numbers are admitted, and the pickle asks for the global "
                f"`{module}.{name}`, which could run anything. Do not open "
                "this file by other means unless you trust its source."
            ) from None


def _resolve(value, done, open_ids):
    """Replaces the stand-ins by arrays; each object is visited once."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    key = id(value)
    if key in done:
        return done[key][1]
    if key in open_ids:
        raise RefusedPickleError("The pickle holds a list that holds itself.")
    open_ids.add(key)
    if isinstance(value, _Array):
        result = value.resolve()
    elif isinstance(value, tuple):
        result = tuple([_resolve(item, done, open_ids) for item in value])
    elif isinstance(value, list):
        value[:] = [_resolve(item, done, open_ids) for item in value]
        result = value
    elif isinstance(value, dict):
        result = {
            _check_key(name): _resolve(item, done, open_ids)
            for name, item in value.items()
        }
    else:
        raise RefusedPickleError(
            f"The pickle holds a bare `{type(value).__name__}`, not data."
        )
    open_ids.discard(key)
    # The value is kept too: its id must not be given to another object.
    done[key] = (value, result)
    return result


def _check_key(key):
    if not isinstance(key, (bool, int, float, str, bytes)):
        raise RefusedPickleError(
            "Only strings and numbers are admitted as keys of a dict."
        )
    return key
