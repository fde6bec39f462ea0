"""Reads pickles of plain data, and refuses everything else.

A pickle is a program, and `pickle.load` runs whatever it asks for. Here its
instructions are looked through first: only those that plain data need, not
too many, and few keys, as a dict takes minutes for 40,000 of one hash. The
unpickler that runs them then knows six of NumPy's constructors by name, and
each is a stand-in that only records what it is given. Pickles of Python 2 are
read too (their strings as latin1).
"""

import io
import math
import os
import pickle
import pickletools

import numpy as np

from recipes.errors import FileError, reading

MAX_BYTES = 256 * 2**20
MAX_INSTRUCTIONS = 2**23
MAX_KEYS = 1000  # of all dicts
MAX_VALUES = 2**26  # what is named in many places counts in each

_INSTRUCTIONS = {
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "FLOAT", "BINFLOAT"),
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("GET", "BINGET", "LONG_BINGET"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
}
_NUMBERS = {"b1", "?", *(kind + size for kind in "iuf" for size in "1248")}


class RefusedPickleError(FileError):
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
        FileError: The file is damaged, too large, or asks for anything that
            is not plain data; the message names what was refused.
    """
    size = os.path.getsize(path)
    if size > MAX_BYTES:
        raise FileError(
            f"A pickle of data may have at most {MAX_BYTES} bytes. "
            f"Received: path={path!s} of {size} bytes."
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
        with reading(name, "a pickle of plain data"):
            _check_instructions(data)
            return _resolve(_Unpickler(io.BytesIO(data)).load(), {})[0]
    except RefusedPickleError as error:
        raise RefusedPickleError(f"{error} Received: path={name}.") from None


def _check_instructions(data):
    """Refuses instructions that plain data do not need, and too many."""
    depth, marks, num_keys = 0, [], 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        name, before = opcode.name, opcode.stack_before
        if name not in _INSTRUCTIONS:
            raise RefusedPickleError(
                f"The pickle uses the instruction {name}, which plain data do "
                "not need."
            )
        if count > MAX_INSTRUCTIONS:
            raise MemoryError(f"more than {MAX_INSTRUCTIONS} instructions")
        if "PUT" in name and argument > count:
            raise MemoryError(f"the place {argument} of the memo")
        num_popped = len(before)
        if before[-1:] == [pickletools.stackslice]:  # all since the last mark
            num_popped += depth - marks.pop() - 2
        elif name == "POP" and marks and marks[-1] == depth:
            num_popped = marks.pop() - depth
        depth -= num_popped
        if name == "MARK":
            marks.append(depth)
        else:
            depth += len(opcode.stack_after)
        if name in ("SETITEM", "SETITEMS", "DICT"):
            num_keys += num_popped // 2
            if num_keys > MAX_KEYS:
                raise MemoryError(f"dicts of more than {MAX_KEYS} keys")


class _StandIn:
    """What a pickle says of an object; data are made of it afterwards."""

    __slots__ = ("arguments", "found", "state")

    def __init__(self, *arguments):
        self.arguments = arguments
        self.found = self.state = None

    def __setstate__(self, state):
        self.state = state

    def resolve(self):
        raise RefusedPickleError("The pickle holds what is not plain data.")


class _Bytes(_StandIn):
    """Bytes, as Python 3 writes them for Python 2."""

    def resolve(self):
        text, encoding = self.arguments or ("", "latin1")
        if encoding not in ("latin1", "latin-1"):
            raise RefusedPickleError(f"The encoding {encoding!r} is refused.")
        return text.encode("latin1")


class _DType(_StandIn):
    def resolve(self):
        if self.found is None:
            code = self.arguments[0]
            if code not in _NUMBERS:
                raise RefusedPickleError(
                    "Only arrays of booleans, integers and floats are "
                    f"admitted; the pickle holds one of dtype {code!r}."
                )
            state = self.state or (3, "=")
            if any(part is not None for part in state[2:5]):
                raise RefusedPickleError("Structured arrays are refused.")
            order = state[1].replace("|", "=")
            self.found = np.dtype(code).newbyteorder(order)
        return self.found


class _Array(_StandIn):
    def resolve(self):
        if self.state is None:  # of a buffer
            raw, dtype, shape, order = self.arguments
        else:
            _, shape, dtype, is_fortran, raw = self.state
            order = "F" if is_fortran else "C"
        dtype, raw = _DType.resolve(dtype), _as_bytes(raw)
        shape = tuple(int(size) for size in shape)
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ValueError(f"{len(raw)} bytes for an array of shape {shape}")
        values = np.frombuffer(raw, dtype).reshape(shape, order=order)
        return values.astype(dtype.newbyteorder("="))


class _Scalar(_StandIn):
    def resolve(self):
        dtype, raw = self.arguments
        return np.frombuffer(_as_bytes(raw), _DType.resolve(dtype)).item()


def _as_bytes(raw):
    if isinstance(raw, str):
        return raw.encode("latin1")
    raw = raw.resolve() if isinstance(raw, _Bytes) else raw
    if not isinstance(raw, (bytes, bytearray)):
        raise RefusedPickleError("Arrays of objects are refused.")
    return raw


_GLOBALS = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _StandIn,  # which `_reconstruct` is given
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
    ("builtins", "bytes"): _Bytes,
}
for _core in ("numpy.core", "numpy._core"):  # renamed in NumPy 2
    _GLOBALS[f"{_core}.multiarray", "scalar"] = _Scalar
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _Array
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _Array


class _Unpickler(pickle.Unpickler):
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


def _resolve(value, done):
    """Makes data of stand-ins; counts the values, however often named."""
    if value is None or isinstance(value, (bool, int, float)):
        return value, 1
    if isinstance(value, (str, bytes, bytearray)):
        size = 1 + len(value) // 8
        return bytes(value) if isinstance(value, bytearray) else value, size
    key = id(value)
    if key in done:
        if done[key] is None:
            raise RefusedPickleError("The pickle holds a list in itself.")
        return done[key][1:]
    done[key] = None
    if isinstance(value, (list, tuple, dict)):
        items = value.values() if isinstance(value, dict) else value
        pairs = [_resolve(item, done) for item in items]
        size = 1 + sum(size for _, size in pairs)
        found = (item for item, _ in pairs)
        if isinstance(value, dict):
            found = zip(map(_checked_key, value), found, strict=True)
        result = type(value)(found)
    elif isinstance(value, _StandIn):
        result = value.resolve()
        size = 1 + getattr(result, "size", 0)
    else:
        raise RefusedPickleError("The pickle holds a bare class, not data.")
    if size > MAX_VALUES:
        raise MemoryError(f"more than {MAX_VALUES} values")
    # The value is kept too: its id must not be given to another object.
    done[key] = (value, result, size)
    return result, size


def _checked_key(key):
    if not isinstance(key, (bool, int, float, str, bytes)):
        raise RefusedPickleError(
            "Only strings and numbers are admitted as keys of a dict."
        )
    return key
