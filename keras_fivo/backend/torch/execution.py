"""How the scans of a model run: plain, traced or compiled."""

import contextlib
import contextvars
import warnings
from collections.abc import Iterator
from typing import Any

from keras_fivo.backend.torch import compilation
from keras_fivo.backend.torch.loops import Plan
from keras_fivo.backend.torch.lowering import quick
from keras_fivo.backend.torch.partition import Parts

_MODE: contextvars.ContextVar[str] = contextvars.ContextVar(
    "mode", default="traced"
)


def current() -> str:
    """`plain`, `traced` or `compiled`."""
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


def say_plain(reason: Exception) -> None:
    """Says why a step is not compiled, where it was asked for."""
    if current() == "compiled":
        warnings.warn(
            f"The step of the model {reason}: it cannot be compiled and runs "
            "as plain Python, which is slow.",
            stacklevel=3,
        )


def say_traced(reason: Exception) -> None:
    """Says that the compiler did not run."""
    warnings.warn(
        "`jit_compile=True` needs the compiler of PyTorch, which needs a C++ "
        f"compiler. Received: {reason}. The step runs traced, without it.",
        stacklevel=3,
    )


def lower(parts: Parts, compiles: bool) -> Plan:
    """The parts as functions.

    Raises:
        CompilationFailed: Where they shall be compiled and cannot.
    """
    constants, forward = quick(parts.constants), parts.forward
    if not compiles:
        return Plan(parts, constants, quick(forward), quick(parts.backward))
    sizes, joint = parts.joint.sizes, parts.joint
    varying = sizes.carry + sizes.inputs
    arguments = len(parts.backward.graph.find_nodes(op="placeholder"))
    end = arguments - len(joint.pulled)
    return Plan(
        parts,
        constants,
        compilation.compile_graph(
            forward, range(varying, varying + len(parts.forward_constants))
        ),
        compilation.compile_graph(
            parts.backward, range(end - len(parts.backward_constants), end)
        ),
    )
