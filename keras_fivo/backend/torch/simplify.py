"""Simpler graphs of the same value."""

from typing import Any

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import OPERATOR, value_of

_aten = torch.ops.aten


def simplify(graph: fx.Graph) -> None:
    """Merges equal calls; frees constants of what they are shaped like."""
    _fix_filled(graph)
    _merge_equal(graph)
    graph.eliminate_dead_code()


_FILLED = {
    _aten.zeros_like.default: 0,
    _aten.ones_like.default: 1,
    _aten.new_zeros.default: 0,
    _aten.new_ones.default: 1,
    _aten.full_like.default: None,
    _aten.new_full.default: None,
}


def _fix_filled(graph: fx.Graph) -> None:
    """Makes tensors filled like others independent of those others."""
    for node in list(graph.nodes):
        if node.target not in _FILLED:
            continue
        fill: Any = _FILLED[node.target]
        if fill is None:
            fill = node.args[-1]
        if not isinstance(fill, (bool, int, float)):
            continue
        like = value_of(node)
        if like.dtype == torch.bool:
            fill = bool(fill)
        elif like.is_floating_point():
            fill = float(fill)
        options = {"dtype": like.dtype, "device": like.device}
        with graph.inserting_before(node):
            new = graph.call_function(
                _aten.full.default, (list(like.shape), fill), options
            )
        new.meta = dict(node.meta)
        node.replace_all_uses_with(new)
        graph.erase_node(node)


def _merge_equal(graph: fx.Graph) -> None:
    """Merges calls of the same function with the same arguments."""
    seen: dict = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        key = (node.target, repr(node.args), repr(node.kwargs))
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.erase_node(node)
        else:
            seen[key] = node


def is_quick(node: fx.Node) -> bool:
    """Tells whether a node costs less to compute again than to keep."""
    if not isinstance(node.target, OPERATOR):
        return False
    pointwise = torch.Tag.pointwise in node.target.tags
    return pointwise or node.target in _SHAPED


_SHAPED = {
    _aten.view.default,
    _aten._unsafe_view.default,
    _aten.expand.default,
    _aten.unsqueeze.default,
    _aten.squeeze.dim,
    _aten.permute.default,
    _aten.t.default,
    _aten.transpose.int,
    _aten.slice.Tensor,
    _aten.select.int,
    _aten.clone.default,
}
