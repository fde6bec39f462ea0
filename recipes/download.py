"""Downloads that are checked before they are used."""

import contextlib
import dataclasses
import hashlib
import socket

from recipes.errors import FileError, describe
from recipes.storage import atomic_path

_TIMEOUT = 30.0  # seconds without a byte


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file on the network whose content is known.

    Attributes:
        url: Address of the file.
        sha256: str. The hexadecimal digest of the content.
        size: Number of its bytes.
    """

    url: str
    sha256: str
    size: int


def fetch(remote, path, advice=""):
    """Makes sure that `path` holds the remote file; downloads it if absent.

    The content is checked each time, also where the file is there already. A
    download goes to a temporary file that takes its place only if it is right.

    Args:
        remote: `RemoteFile`.
        path: `pathlib.Path` where the file is kept.
        advice: str. A sentence for errors: what else the user can do.

    Returns:
        `path`.

    Raises:
        FileError: The content is not the expected one.
        OSError: There is no network, or the disk refuses.
    """
    if path.exists():
        _check(path, remote, f"Delete {path} to fetch it again.")
        return path
    with atomic_path(path) as partial:
        try:
            _download(remote, partial)
        except Exception as error:  # Keras raises that class itself
            raise OSError(
                f"Could not download {remote.url} ({describe(error)}). Fetch "
                f"it on a machine with a network ({remote.size} bytes, SHA-256 "
                f"{remote.sha256}) and put it at {path}.{advice and ' '}"
                f"{advice}"
            ) from error
        _check(partial, remote, "Nothing was kept.")
    return path


def _download(remote, path):
    from keras.utils import get_file  # here, as it takes seconds

    with _timeout():
        get_file(
            path.name,
            remote.url,
            cache_dir=str(path.parent),
            cache_subdir="",
            force_download=True,
        )


@contextlib.contextmanager
def _timeout():
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _check(path, remote, advice):
    size = path.stat().st_size
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if (size, digest) != (remote.size, remote.sha256):
        raise FileError(
            f"The file of {remote.url} must have {remote.size} bytes and "
            f"SHA-256 {remote.sha256}. {advice} "
            f"Received: {size} bytes with SHA-256 {digest}."
        )
