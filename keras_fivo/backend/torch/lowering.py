"""Graphs of ATen operators as quick Python functions."""

from collections.abc import Callable

import torch
from torch import fx

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
    """Returns the module's function for plain calls, operator by operator."""
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is _aten.pow.Tensor_Scalar and node.args[1] == 2:
            node.target, node.args = torch.mul, (node.args[0], node.args[0])
        elif node.target in _METHODS:
            node.op, node.target = "call_method", _METHODS[node.target]
        elif node.target in _FUNCTIONS:
            node.target = _FUNCTIONS[node.target]
    module.recompile()
    return module.forward
