"""Downloads that are checked before they are used."""

import dataclasses
import hashlib
import urllib.request

from recipes.storage import atomic_path

_BLOCK = 2**16


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file on the network whose content is known.

    Attributes:
        url: str.
        sha256: str. The hexadecimal digest of the content.
        size: int. Bytes.
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
        ValueError: The content is not the expected one.
        OSError: There is no network, or the disk refuses.
    """
    if path.exists():
        _check(path, remote, f"Delete {path} to fetch it again.")
        return path
    with atomic_path(path) as partial:
        try:
            _download(remote, partial)
        except OSError as error:
            raise OSError(
                f"Could not download {remote.url} ({error}). Fetch it on a "
                f"machine with a network ({remote.size} bytes, SHA-256 "
                f"{remote.sha256}) and put it at {path}.{advice and ' '}"
                f"{advice}"
            ) from error
        _check(partial, remote, "Nothing was kept.")
    return path


def _download(remote, path):
    with (
        urllib.request.urlopen(remote.url, timeout=30) as response,
        open(path, "wb") as file,
    ):
        # One byte more than expected is enough to see that it is wrong.
        remaining = remote.size + 1
        while remaining > 0:
            block = response.read(min(_BLOCK, remaining))
            if not block:
                return
            file.write(block)
            remaining -= len(block)


def _check(path, remote, advice):
    size = path.stat().st_size
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if (size, digest) != (remote.size, remote.sha256):
        raise ValueError(
            f"The file of {remote.url} must have {remote.size} bytes and "
            f"SHA-256 {remote.sha256}. {advice} "
            f"Received: {size} bytes with SHA-256 {digest}."
        )
