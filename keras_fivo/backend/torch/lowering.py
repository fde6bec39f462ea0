"""Graphs of ATen operators as quick Python functions."""

from collections.abc import Callable

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import value_of

_aten = torch.ops.aten

# PyTorch's own functions cost half of what calling an operator by its
# overload does, in a loop of small operators most of the time.
_FUNCTIONS = {
    getattr(getattr(_aten, name), overload): getattr(torch, name)
    for overload, names in {
        "default": "mm bmm addmm neg exp log log1p expm1 tanh sigmoid relu "
        "sqrt rsqrt abs reciprocal maximum minimum logical_not amax amin "
        "cumsum t permute unsqueeze clone gather index_select bitwise_not "
        "isfinite isnan cat stack clamp",
        "Tensor": "add sub mul div gt ge lt le eq ne bitwise_and bitwise_or "
        "logical_and logical_or",
        "Scalar": "add sub mul div gt ge lt le eq ne",
        "int": "transpose select",
        "dim": "squeeze",
        "dim_IntList": "sum",
        "self": "where",
    }.items()
    for name in names.split()
    if overload in getattr(_aten, name).overloads()
}
_METHODS = {
    _aten.view.default: "view",
    _aten._unsafe_view.default: "view",
    _aten.expand.default: "expand",
}


def quick(module: fx.GraphModule) -> Callable:
    """Returns the module's function for plain calls of its operators."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == "call_function":
            _fuse_bias(graph, node)
            _square(node)
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if node.target in _METHODS:
            node.op, node.target = "call_method", _METHODS[node.target]
        elif node.target in _FUNCTIONS:
            node.target = _FUNCTIONS[node.target]
    module.recompile()
    return module.forward


def _fuse_bias(graph: fx.Graph, node: fx.Node) -> None:
    """Makes `a @ b + c` one operator."""
    if node.target is not _aten.add.Tensor or node.kwargs:
        return
    for product, other in (node.args, node.args[::-1]):
        if (
            isinstance(product, fx.Node)
            and isinstance(other, fx.Node)
            and product.target is _aten.mm.default
            and len(product.users) == 1
            and value_of(product).shape == value_of(node).shape
            and value_of(other).dtype == value_of(product).dtype
        ):
            node.target = _aten.addmm.default
            node.args = (other, *product.args)
            return


def _square(node: fx.Node) -> None:
    if node.target is _aten.pow.Tensor_Scalar and node.args[1] == 2:
        node.target = _aten.mul.Tensor
        node.args = (node.args[0], node.args[0])
