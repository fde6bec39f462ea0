"""What a user did wrong, told in one line."""

import contextlib


class RecipeError(Exception):
    """A fault that the user can mend; shown without a traceback."""


class FileError(ValueError):
    """A file that is not what it must be; the message names it."""


@contextlib.contextmanager
def told_to_the_user(prefix=""):
    """Turns errors of what the user passed into a `RecipeError`.

    Only around what reads the user's wishes and files: an error of training
    itself keeps its traceback.

    Args:
        prefix: str. What comes before the message. Default: nothing.
    """
    try:
        yield
    except OSError as error:
        raise RecipeError(prefix + refusal_of(error)) from error
    except (ImportError, TypeError, ValueError) as error:
        raise RecipeError(prefix + str(error)) from error


def refusal_of(error):
    """Tells in a sentence or two what the operating system refuses.

    Args:
        error: `OSError`; where it names no file, its own words are enough.
    """
    if error.filename is None or error.strerror is None:
        return str(error)
    return (
        f"{error.strerror}. Choose another file or folder. "
        f"Received: path={str(error.filename)!r}."
    )


@contextlib.contextmanager
def reading(path, expected, advice="Get the file again."):
    """Turns whatever a parser raises into one error that names the file.

    Parsers raise a dozen kinds of errors for a file that is damaged or made
    to harm; only that it cannot be read matters to the user.

    Args:
        path: Path of the file.
        expected: str. What the file must be, such as `"a WAV file"`.
        advice: str. A sentence: what the user can do.

    Raises:
        FileError: The block raised any error but one that already names the
            file: a `FileError`, or what the operating system refuses.
    """
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise FileError(
            f"The file must be {expected}. It cannot be read: it is damaged, "
            f"cut short or of another kind ({describe(error)}). {advice} "
            f"Received: path={path!s}."
        ) from error


def describe(error):
    """Tells the kind of an error and how its message begins, in one line.

    What a hostile file made a parser say may be long, or hold characters that
    change a terminal.
    """
    text = " ".join(str(error).split())
    text = "".join(c if c.isprintable() else "?" for c in text[:200])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
