"""Gradients of captured tensors, formed once after the backward loop."""

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import value_of

_aten = torch.ops.aten


class Tails:
    """Says how sums over time are formed, and of what.

    Attributes:
        feeds: Nodes of the joint graph that the sums are formed of.
        summed: Which of them are needed only as sums over steps.
    """

    def __init__(self, fixed: set, late: set) -> None:
        self.fixed, self.late = fixed, late
        self.feeds: list[fx.Node] = []
        self.summed: set[int] = set()

    def _feed(self, node: fx.Node, summed: bool = False) -> int:
        """Returns the index of a node among the feeds."""
        for i, known in enumerate(self.feeds):
            if known is node and (i in self.summed) == summed:
                return i
        if summed:
            self.summed.add(len(self.feeds))
        self.feeds.append(node)
        return len(self.feeds) - 1

    def form(self, node: fx.Node) -> tuple:
        """Says how to form the sum over time of a node that is linear in it.

        The product of a weight's gradient is formed once, over the rows of
        all steps.
        """
        target, late = node.target, node in self.late
        if late and target in _LINEAR and not self._is_narrower(node):
            inner = self.form(node.args[0])
            return ("apply", target, inner, node.args[1:], node.kwargs)
        if late and target is _aten.add.Tensor and self._plain_sum(node):
            return ("add", *(self.form(x) for x in node.args))
        if late and target is _aten.mm.default:
            left, right = node.args
            if left.target in _TRANSPOSED and left not in self.fixed:
                ends = left.args[0], right
                if not any(x in self.fixed for x in ends):
                    return ("product", *(self._feed(x) for x in ends))
        if late and target is _aten.sum.dim_IntList:
            inner = ("stack", self._feed(node.args[0]))
            return ("apply", target, inner, node.args[1:], node.kwargs)
        return ("sum", self._feed(node, summed=True))

    def _is_narrower(self, node: fx.Node) -> bool:
        before, after = value_of(node.args[0]).dtype, value_of(node).dtype
        return after.itemsize < before.itemsize

    def _plain_sum(self, node: fx.Node) -> bool:
        return not node.kwargs and all(
            isinstance(x, fx.Node)
            and x in self.late
            and value_of(x).shape == value_of(node).shape
            for x in node.args
        )


_TRANSPOSED = {_aten.t.default, _aten.permute.default, _aten.transpose.int}
_LINEAR = {
    _aten.t.default,
    _aten.permute.default,
    _aten.transpose.int,
    _aten.view.default,
    _aten._unsafe_view.default,
    _aten.reshape.default,
    _aten.unsqueeze.default,
    _aten.squeeze.dim,
    _aten.squeeze.dims,
    _aten.slice_backward.default,
    _aten.select_backward.default,
    _aten._to_copy.default,
}


def widened(x: torch.Tensor) -> torch.Tensor:
    """Takes half precision to the full one, in which time is summed over."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Workspace:
    """Two buffers for rows of all steps, used again for each product.

    Fresh memory for each costs more than the copy.
    """

    def __init__(self) -> None:
        self.buffers: dict = {}

    def join(self, place: int, rows: list) -> torch.Tensor:
        """Joins the tensors of a list, one below the other."""
        first = rows[0]
        shape = (len(rows) * first.shape[0], first.shape[1])
        size, key = shape[0] * shape[1], (place, first.dtype)
        if key not in self.buffers or len(self.buffers[key]) < size:
            self.buffers[key] = first.new_empty(size)
        joined = self.buffers[key][:size].view(shape)
        return widened(torch.cat(rows, out=joined))


def evaluate_tail(
    tail: tuple, feeds: list, workspace: Workspace
) -> torch.Tensor:
    """Forms the gradient of a captured tensor; see `Parts.tails`.

    Args:
        tail: How.
        feeds: Of each feed the values of all steps, or their sum.
        workspace: Memory to use.
    """
    kind, *rest = tail
    if kind == "product":
        left, right = (
            workspace.join(place, feeds[i]) for place, i in enumerate(rest)
        )
        return left.t() @ right
    if kind == "stack":
        return widened(torch.stack(feeds[rest[0]])).sum(0)
    if kind == "sum":
        return feeds[rest[0]]
    if kind == "add":
        first, second = (evaluate_tail(x, feeds, workspace) for x in rest)
        return first + second
    function, inner, arguments, options = rest
    inner = evaluate_tail(inner, feeds, workspace)
    return function(inner, *arguments, **options)
