"""How the scans of a model run: plain, traced or compiled."""

import contextlib
import contextvars
import warnings
from collections.abc import Iterator
from typing import Any

_MODE: contextvars.ContextVar[str] = contextvars.ContextVar(
    "mode", default="traced"
)


def current() -> str:
    """Returns `plain`, `traced` or `compiled`."""
    return _MODE.get()


@contextlib.contextmanager
def using(mode: str) -> Iterator[None]:
    """Scans inside run in this mode."""
    token = _MODE.set(mode)
    try:
        yield
    finally:
        _MODE.reset(token)


def running(model: Any) -> contextlib.AbstractContextManager:
    """Scans inside run as the model was compiled to.

    With `run_eagerly`, a loop in Python over the step as it was written.
    Otherwise the step is traced, and with `jit_compile` compiled; `"auto"`
    is no `jit_compile` on PyTorch.
    """
    if getattr(model, "run_eagerly", False):
        return using("plain")
    compiles = model.compiled and model.jit_compile
    return using("compiled" if compiles else "traced")


_SAID: set[str] = set()


def say_plain(reason: Exception) -> None:
    """Says once for each reason why a step runs as it was written."""
    _say_once(
        f"The step of a scan {reason}: it runs as plain Python, several times "
        "slower than a traced one. Compile the model with "
        "`run_eagerly=True` if that is what you want."
    )


def say_traced(reason: Exception) -> None:
    """Says once for each reason that the compiler did not run."""
    _say_once(
        "`jit_compile=True` needs the compiler of PyTorch, which needs a C++ "
        f"compiler. Received: {reason}. The step runs traced, without it."
    )


def _say_once(message: str) -> None:
    if message not in _SAID:
        _SAID.add(message)
        warnings.warn(message, stacklevel=4)
