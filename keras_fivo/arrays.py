"""Arrays from files that may be damaged, or made to harm."""

import io
import math
import os
import zipfile
from collections.abc import Sequence

import numpy as np

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = "biufUS"  # booleans, integers, floats and text: no objects
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_MAX_READ = 2**22


def load_arrays(
    path: str | os.PathLike,
    names: Sequence[str] | None = None,
    max_bytes: int = 2**28,
) -> dict[str, np.ndarray]:
    """Reads an `.npz` file that need not be trusted.

    Nothing in the file is run, and what it says of sizes is checked before
    any memory is taken.

    Args:
        path: Path of the file.
        names: Names of the arrays to read; None: all that there are.
        max_bytes: How many bytes the arrays may have together, unless the
            file itself has a quarter as many.

    Returns:
        The arrays by name, of booleans, integers, floats or text.

    Raises:
        ValueError: The file is damaged, no `.npz`, too large, holds anything
            else, or lacks one of the names.
        OSError: The file cannot be opened.

    Example:
    ```python
    arrays = kf.load_arrays("sequences.npz", ["observations", "lengths"])
    ```
    """
    with _File(path) as file:
        limit = max(max_bytes, 4 * file.seek(0, os.SEEK_END))
        try:
            with zipfile.ZipFile(file) as archive:
                entries = _entries(archive)
                wanted = list(entries) if names is None else names
                missing = [name for name in wanted if name not in entries]
                if missing:
                    raise KeyError(f"lacks {', '.join(missing)}")
                total = sum(entries[name].file_size for name in wanted)
                if total > limit:
                    raise MemoryError(f"{total} bytes, more than {limit}")
                return {name: _read(archive, entries[name]) for name in wanted}
        # A hostile file makes zipfile, zlib and NumPy raise all kinds.
        except Exception as error:
            text = "".join(c if c.isprintable() else "?" for c in str(error))
            needed = f" with {', '.join(names)}" if names else ""
            raise ValueError(
                f"The file must be a NumPy .npz of numbers and text{needed}. "
                "It is damaged, cut short, too large or of another kind "
                f"({type(error).__name__}: {text[:200]}). Write it with "
                f"`numpy.savez`, or get it again. Received: path={str(path)!r}"
            ) from error


class _File(io.FileIO):
    """A file of which no large piece is read at once.

    `zipfile` reads the whole directory of an archive, however large the file
    says that it is.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = _MAX_READ
        if size > _MAX_READ:
            raise MemoryError(f"a piece of {size} bytes")
        return super().read(size) or b""


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Returns what an archive holds, by the name of the array."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name == entry.filename or name in found:
            raise ValueError(f"the entry {entry.filename!r}")
        if entry.compress_type not in _METHODS or entry.flag_bits & 1:
            raise ValueError(f"{name!r} is encrypted or of another compression")
        found[name] = entry
    return found


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """Returns an array, once its header is seen to agree with the archive."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _HEADERS[version](file)
        size = entry.file_size - file.tell()
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise TypeError(f"{entry.filename!r} is of {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(
            f"{entry.filename!r} has {size} bytes for a shape of {shape}"
        )
    with archive.open(entry) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at its end the checksum is compared
    return array
