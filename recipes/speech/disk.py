"""HDF5 files on a disk that may fill up."""

import contextlib
import io
import os

import h5py

from recipes.storage import atomic_path


class Disk(io.RawIOBase):
    """A file for HDF5 that keeps its first error to itself.

    HDF5 cannot let go of a file that it fails to write, and crashes when the
    process ends. So it must not see the error: what comes after it is dropped,
    and `check` raises it.

    Args:
        file: A binary file, unbuffered, open for reading and writing.
    """

    def __init__(self, file):
        super().__init__()
        self._file = file
        self._error = None

    def check(self):
        """Raises the error, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, content):
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest) and self._error is None:
                rest = rest[self._file.write(rest) :]
        except BaseException as error:  # an interrupt too
            self._error = error
        return size

    def readinto(self, buffer):
        return self._file.readinto(buffer)

    def seek(self, offset, whence=os.SEEK_SET):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def truncate(self, size=None):
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size

    def flush(self):
        pass  # the file has no buffer

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True


@contextlib.contextmanager
def writing(path):
    """Opens an HDF5 file to be written; it appears once all went well.

    Args:
        path: Path of the file.

    Yields:
        `(file, disk)`: an `h5py.File` and its `Disk`, whose `check` the block
        calls now and then, to hear early of a disk that is full.

    Raises:
        OSError: The disk refuses; the message names `path`.
    """
    with _named(path), atomic_path(path) as partial:
        with open(partial, "r+b", buffering=0) as raw:
            disk = Disk(raw)
            with h5py.File(disk, "w", libver=("v110", "v110")) as file:
                yield file, disk
            disk.check()
            os.fsync(raw.fileno())


@contextlib.contextmanager
def _named(path):
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(
            error.errno,
            f"Could not write {path}: {os.strerror(error.errno)}. Nothing of "
            "it was kept.",
        ) from error
