"""Files that are damaged, or made to harm, for the tests of readers."""

import io
import struct
import zipfile

import numpy as np

_EXTREMES = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1)


def mutated(content, count, seed=0):
    """Yields `count` damaged copies of a file.

    Bits are flipped, bytes overwritten by extreme numbers, and pieces cut
    off, left out, repeated, swapped or zeroed; more often near the beginning
    and the end, where headers and directories are.
    """
    generator = np.random.default_rng(seed)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(generator.integers(1, 4)):
            if damaged:
                _damage(damaged, generator)
        yield bytes(damaged)


def _damage(content, generator):
    size = len(content)
    reach = min(size, int(generator.choice([64, 256, size])))
    start = int(generator.integers(reach))
    if generator.random() < 0.3:
        start = size - 1 - start
    length = int(generator.integers(1, 65))
    kind = generator.integers(8)
    if kind <= 1:
        for _ in range(generator.integers(1, 9)):
            place = min(size - 1, start + int(generator.integers(16)))
            content[place] ^= 1 << int(generator.integers(8))
    elif kind == 2:
        number = _EXTREMES[generator.integers(len(_EXTREMES))]
        width = int(generator.choice([1, 2, 4, 8]))
        order = ["little", "big"][generator.integers(2)]
        number = (number % 256**width).to_bytes(width, order)
        content[start : start + width] = number
    elif kind == 3:
        del content[start:]
    elif kind == 4:
        del content[start : start + length]
    elif kind == 5:
        content[start:start] = content[start : start + length]
    elif kind == 6:
        other = int(generator.integers(size))
        one, two = content[start : start + 8], content[other : other + 8]
        content[start : start + 8], content[other : other + 8] = two, one
    else:
        content[start : start + length] = bytes(length)


def npy(header, data=b"", version=1):
    """A `.npy` file with this header, whatever it says."""
    header = header if isinstance(header, bytes) else header.encode("latin1")
    form = "<H" if version == 1 else "<I"
    magic = b"\x93NUMPY" + bytes([version, 0])
    return magic + struct.pack(form, len(header)) + header + data


def npy_of(shape, dtype="<f4", data=b""):
    """A `.npy` file of a shape that need not be that of its data."""
    return npy(
        f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n",
        data,
    )


def zipped(entries, **options):
    """A zip archive of names and contents, in their order."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return written.getvalue()


def _changed_directory(content, offset, form, value):
    """Overwrites a field of each entry of the directory of an archive."""
    content = bytearray(content)
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into(form, content, place + offset, value)
        place = content.find(b"PK\x01\x02", place + 4)
    return bytes(content)


def hostile_npz(name, with_bomb=False):
    """Hostile `.npz` files, whose one array has this name, by what is wrong.

    Args:
        name: Name of the array.
        with_bomb: Whether to add one of 256 MiB, which takes a second to make.
    """
    good = npy_of((3,), data=bytes(12))
    whole = zipped([(f"{name}.npy", good)])
    nested = "(" * 4000 + ")" * 4000
    found = {
        "nothing": b"",
        "text": b"no archive at all",
        "no entries": zipped([]),
        "no array": zipped([("README", b"text")]),
        "encrypted": _changed_directory(whole, 8, "<H", 1),
        "unknown compression": _changed_directory(whole, 10, "<H", 99),
        "lzma": zipped([(f"{name}.npy", good)], compression=zipfile.ZIP_LZMA),
        "bzip2": zipped([(f"{name}.npy", good)], compression=zipfile.ZIP_BZIP2),
        "wrong checksum": _changed_directory(whole, 16, "<I", 7),
        "size of 4 GB": _changed_directory(whole, 24, "<I", 2**32 - 2),
        "wrong offset": _changed_directory(whole, 42, "<I", 2**31),
        "huge directory": whole[:-10]
        + struct.pack("<I", 2**32 - 2)
        + whole[-6:],
    }
    if with_bomb:
        found["bomb"] = zipped(
            [(f"{name}.npy", npy_of((2**28,), "|u1", bytes(2**28)))],
            compression=zipfile.ZIP_DEFLATED,
            compresslevel=1,
        )
    entries = {
        "empty array file": b"",
        "no magic": b"x" * 200,
        "cut header": good[:20],
        "cut data": good[:-5],
        "longer data": good + b"x",
        "nested header": npy(nested),
        "deep header": npy("-" * 9000 + "1"),
        "long header": npy(" " * 20_000),
        "header not Latin": npy("{'descr': '<é'}".encode()),
        "header not UTF-8": npy(b"\xff\xfe{}", version=2),
        "version 3": npy(b"\xff\xfe{}", version=3),
        "version 9": npy("{}", version=9),
        "header of a call": npy("__import__('os').getcwd()"),
        "header of a list": npy("[1, 2]"),
        "shape of 10^12": npy_of((10**12,)),
        "shape of 10^30": npy_of((10**15, 10**15)),
        "negative shape": npy_of((-3, -1), data=bytes(12)),
        "shape of text": npy_of("'3'"),
        "many axes": npy_of((1,) * 100, data=bytes(4)),
        "objects": npy_of((1,), "|O", b"\x80\x02N."),
        "pickle": b"\x80\x02cos\ngetcwd\n(tR.",
        "records": npy(
            "{'descr': [('a', '<f4')], 'fortran_order': False, "
            "'shape': (3,), }\n",
            bytes(12),
        ),
        "no size": npy_of((10**12,), "<U0"),
        "no type": npy_of((3,), "<q9", bytes(12)),
        "dates": npy_of((1,), "<M8[s]", bytes(8)),
    }
    for label, content in entries.items():
        found[label] = zipped([(f"{name}.npy", content)])
    found["twice"] = _twice(name, good)
    found["overlapping"] = _overlapping(name)
    return found


def _twice(name, content):
    written = zipped([(f"{name}.npy", content), (f"{name[:-1]}~.npy", content)])
    return written.replace(f"{name[:-1]}~.npy".encode(), f"{name}.npy".encode())


def _overlapping(name, count=400):
    """Entries that all are the same megabyte of the file."""
    one = zipped([(f"{name}.npy", npy_of((2**20,), "|u1", bytes(2**20)))])
    start = one.index(b"PK\x01\x02")
    entry = one[start:-22]
    directory = b"".join(
        entry.replace(f"{name}.npy".encode(), f"{i:0{len(name)}}.npy".encode())
        for i in range(count)
    )
    end = struct.pack(
        "<4s4H2IH",
        *(b"PK\x05\x06", 0, 0, count, count, len(directory), start, 0),
    )
    return one[:start] + entry + directory + end
