"""What is known of the function that is being traced."""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Mode:
    """How the function that is being traced will run.

    Attributes:
        xla: Whether XLA compiles it.
        gradients: Whether its results may be differentiated.
    """

    xla: bool = False
    gradients: bool = True


_USUAL = Mode()
_MODE = contextvars.ContextVar("mode", default=_USUAL)


def mode() -> Mode:
    """The mode that holds now."""
    return _MODE.get()


@contextlib.contextmanager
def changed_mode(**changes: bool) -> Iterator[None]:
    """Changes fields of the mode for what is traced inside."""
    token = _MODE.set(replace(_MODE.get(), **changes))
    try:
        yield
    finally:
        _MODE.reset(token)
