"""What a user did wrong, told in one line."""

import contextlib


class RecipeError(Exception):
    """A fault that the user can mend; shown without a traceback."""


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
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise RecipeError(prefix + str(error)) from error
