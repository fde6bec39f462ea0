"""Graphs of ATen operators as machine code, where there is a compiler."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import value_of


class CompilationFailed(Exception):  # noqa: N818 - never reaches users
    """The compiler of PyTorch did not run; says why."""


def decompositions() -> dict:
    """Operators that the compiler expresses by others.

    Raises:
        CompilationFailed: If this version of PyTorch has no such table.
    """
    with _reasons():
        from torch._inductor.decomposition import select_decomp_table

        return select_decomp_table()


def compile_graph(module: fx.GraphModule, constants: range) -> Callable:
    """Returns the module's function, compiled for the shapes of its trace.

    Its results lie in memory row by row, and its arguments must too, but
    for some.

    Args:
        module: Of ATen operators; changed.
        constants: Places of the arguments that lie as they were traced.

    Raises:
        CompilationFailed: For instance where there is no C++ compiler.
    """
    graph = module.graph
    examples = [
        value_of(x) if i in constants else value_of(x).contiguous()
        for i, x in enumerate(graph.find_nodes(op="placeholder"))
    ]
    _lay_out(graph)
    module.recompile()
    with _reasons(), warnings.catch_warnings():
        from torch._inductor import config
        from torch._inductor.compile_fx import compile_fx_inner

        warnings.simplefilter("ignore")
        # Checks of every argument at every step cost a quarter of the time.
        with config.patch(size_asserts=False, alignment_asserts=False):
            compiled = compile_fx_inner(module, examples)

    def call(*arguments: torch.Tensor) -> list:
        return compiled(list(arguments))

    return call


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turns what is raised inside into a `CompilationFailed`.

    The interfaces that are used inside are private: they may be gone.
    """
    try:
        yield
    except Exception as error:
        raise CompilationFailed(_last_line(error)) from error


def _lay_out(graph: fx.Graph) -> None:
    """Makes results lie row by row, and the compiler keep them so."""
    end = graph.output_node()
    results = []
    for node in end.args[0]:
        if node is not None and not value_of(node).is_contiguous():
            with graph.inserting_before(end):
                copy = graph.call_function(
                    torch.ops.aten.clone.default,
                    (node,),
                    {"memory_format": torch.contiguous_format},
                )
            copy.meta["val"] = value_of(node).contiguous()
            node = copy
        results.append(node)
    end.args = (results,)
    end.meta["user_visible_output_idxs"] = list(range(len(results)))


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
