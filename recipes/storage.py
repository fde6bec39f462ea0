"""Where recipes keep files, and how they write them."""

import contextlib
import getpass
import os
import pathlib
import tempfile


def cache_folder(cache_dir=None):
    """The folder of files that can be made again.

    Args:
        cache_dir: Path. Default: the environment variable
            `KERAS_FIVO_CACHE`, or else `~/.cache/keras_fivo`.

    Returns:
        A `pathlib.Path`; it need not exist yet.
    """
    chosen = cache_dir or os.environ.get("KERAS_FIVO_CACHE")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    home = os.path.expanduser("~")
    if not os.environ.get("HOME", "unset"):
        # With HOME set to nothing, "~" would be the root of the disk.
        home = os.path.expanduser("~" + getpass.getuser())
    return pathlib.Path(home) / ".cache" / "keras_fivo"


@contextlib.contextmanager
def atomic_path(path):
    """Gives a temporary path that becomes `path` if the block succeeds.

    A reader never sees half a file, and a failed block leaves nothing behind.
    The name of the temporary file ends as that of `path` does.

    Args:
        path: Path of the file to be written; its folder is created.

    Yields:
        A `pathlib.Path` in the same folder.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=".partial-", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    partial = pathlib.Path(name)
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
