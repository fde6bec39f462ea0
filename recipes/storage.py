"""Where recipes keep files, and how they write and read them."""

import contextlib
import getpass
import json
import os
import pathlib
import shutil

from recipes.errors import FileError, reading

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PARTIAL = ".partial-"
MAX_JSON_BYTES = 2**24


def cache_folder(cache_dir=None):
    """Returns the folder of files that can be made again.

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
    What a process that was killed leaves behind is overwritten by the next
    that writes the same file. Two that write it at once take turns.

    Args:
        path: Path of the file to be written; its folder is created.

    Yields:
        A `pathlib.Path` of an empty file in the same folder, whose name ends
        as that of `path` does.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(PARTIAL + path.name)
    with _held(partial, lambda: _open(partial, os.O_RDWR | os.O_CREAT)):
        os.truncate(partial, 0)
        try:
            yield partial
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def scratch_folder(path):
    """Gives an empty folder beside `path`, which is removed in the end.

    As with `atomic_path`, what a process that was killed leaves behind goes
    when the next one asks for the same, and two take turns.

    Args:
        path: Path of what the folder is for; the one it is in is created.

    Yields:
        A `pathlib.Path`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(PARTIAL + path.name)

    def make():
        scratch.mkdir(exist_ok=True)
        return _open(scratch, os.O_RDONLY)

    with _held(scratch, make):
        try:
            for item in scratch.iterdir():
                remove(item)
            yield scratch
        finally:
            shutil.rmtree(scratch)


def remove(path):
    """Removes a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _open(path, flags):
    # A link that somebody else put there is not followed.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextlib.contextmanager
def _held(partial, make):
    """Keeps other processes from a temporary file or folder.

    Args:
        partial: `pathlib.Path`.
        make: Function of no arguments that makes it, if need be, and gives a
            handle of it.
    """
    if fcntl is None:
        with contextlib.suppress(PermissionError):  # of a folder on Windows
            os.close(make())
        yield
        return
    while True:
        handle = make()
        try:
            with contextlib.suppress(OSError):  # a disk without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Who waited may hold what has got its final name by now.
            if _is_at(handle, partial):
                yield
                return
        finally:
            os.close(handle)


def _is_at(handle, path):
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def write_json(path, content):
    """Writes a JSON file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path, expected, kinds):
    """Reads a JSON file that holds a dict.

    Args:
        path: Path of the file.
        expected: str. What the file must be, for errors.
        kinds: Dict from the names that it must hold to their types.

    Returns:
        Dict.

    Raises:
        FileError: It is damaged, too large or of another form.
    """
    with reading(path, expected):
        with open(path, "rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise ValueError(f"more than {MAX_JSON_BYTES} bytes")
        found = json.loads(content)
        check_kinds(path, found, kinds)
    return found


def check_kinds(path, content, kinds):
    """Refuses what a file holds if it has another form.

    Args:
        path: Path of the file.
        content: What it holds.
        kinds: Dict from the names that must be in it to their types.

    Raises:
        FileError: The content is no dict, or something in it is missing or
            of another type.
    """
    is_dict = isinstance(content, dict)
    for name, kind in kinds.items():
        value = content.get(name) if is_dict else None
        if not is_dict or not isinstance(value, kind):
            received = repr(value if is_dict else content)[:80]
            raise FileError(
                f"The file must tell {', '.join(kinds)}. Received: "
                f"path={path!s}, with {received} where {name!r} should be."
            )
