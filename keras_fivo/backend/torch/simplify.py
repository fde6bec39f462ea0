"""Simpler graphs of the same value."""

from typing import Any

import torch
from torch import fx

_aten = torch.ops.aten
_FILLED = {
    _aten.zeros_like.default: 0,
    _aten.ones_like.default: 1,
    _aten.new_zeros.default: 0,
    _aten.new_ones.default: 1,
    _aten.full_like.default: None,
    _aten.new_full.default: None,
}
_RENAMING = {_aten.detach.default, _aten.alias.default}
_SHAPING = {
    _aten.view.default,
    _aten._unsafe_view.default,
    _aten.expand.default,
}


def value_of(node: fx.Node) -> torch.Tensor:
    """Returns a fake tensor: shape, dtype and device of a traced node."""
    found: torch.Tensor = node.meta["val"]
    return found


def simplify(graph: fx.Graph) -> None:
    """Drops calls that change nothing, are made twice, or have no users.

    Tensors filled like others no longer depend on those others.
    """
    seen: dict = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if _is_identity(node):
            node.replace_all_uses_with(node.args[0])
            continue
        _fix_filled(node)
        key = (node.target, repr(node.args), repr(node.kwargs))
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
    graph.eliminate_dead_code()


def _is_identity(node: fx.Node) -> bool:
    if node.target in _SHAPING and isinstance(node.args[0], fx.Node):
        return value_of(node.args[0]).shape == value_of(node).shape
    return node.target in _RENAMING


def _fix_filled(node: fx.Node) -> None:
    if node.target not in _FILLED:
        return
    fill: Any = _FILLED[node.target]
    if fill is None:
        fill = node.args[-1]
    if not isinstance(fill, (bool, int, float)):
        return
    like = value_of(node)
    if like.dtype == torch.bool:
        fill = bool(fill)
    elif like.is_floating_point():
        fill = float(fill)
    node.target, node.args = _aten.full.default, (list(like.shape), fill)
    node.kwargs = {"dtype": like.dtype, "device": like.device}


def is_quick(node: fx.Node) -> bool:
    """Tells whether a node costs less to compute again than to keep."""
    pointwise = torch.Tag.pointwise in getattr(node.target, "tags", ())
    return pointwise or node.target in _SHAPED


_SHAPED = {
    *_SHAPING,
    _aten.unsqueeze.default,
    _aten.squeeze.dim,
    _aten.permute.default,
    _aten.t.default,
    _aten.transpose.int,
    _aten.slice.Tensor,
    _aten.select.int,
    _aten.clone.default,
}
