"""Cuts the joint graph of a step into what runs when."""

from collections.abc import Iterable

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import Joint
from keras_fivo.backend.torch.simplify import is_quick

_CHECKS = {torch.ops.aten._linalg_check_errors.default}


def partition(joint: Joint, recompute: bool = False) -> list[fx.GraphModule]:
    """Cuts a joint graph; see `Plan`.

    Args:
        joint: The graph.
        recompute: Whether the backward graph computes again what is quick to
            compute, rather than having it saved at each step.

    Returns:
        Modules of what depends on captured tensors alone, of the forward
        graph and of the backward graph.
    """
    sizes, nodes = joint.sizes, list(joint.module.graph.nodes)
    inputs = [x for x in nodes if x.op == "placeholder"]
    varying = inputs[: sizes.varying]
    captured = inputs[sizes.varying : sizes.taken]
    tangents = inputs[sizes.taken :]
    given = sizes.given + sizes.rows
    results, gradients = nodes[-1].args[0][:given], nodes[-1].args[0][given:]
    body = nodes[len(inputs) : -1]
    fixed, late = set(captured), set(tangents)
    for node in body:
        used = node.all_input_nodes
        if any(x in late for x in used):
            late.add(node)
        elif all(x in fixed for x in used):
            fixed.add(node)
    behind = _needed(gradients, late - set(tangents))
    saved = _inputs(behind, gradients) - late
    if recompute:
        again = _quick(saved, {*fixed, *varying, *results})
        behind |= again
        saved = (saved | _inputs(again)) - again
    kept = [x for x in (*varying, *body) if x in saved - fixed]
    # Checks raise an error, and give nothing.
    checks = [x for x in body if x.target in _CHECKS]
    before = _needed([*results, *kept, *checks], set(body) - fixed - late)
    read = _inputs(before, results) | _inputs(behind, gradients)
    constants = [x for x in (*captured, *body) if x in fixed & read]

    def module(taken: list, chosen: set, ends: list) -> fx.GraphModule:
        return _module(
            joint.module, taken, [x for x in body if x in chosen], ends
        )

    for node in constants:
        node.meta["constant"] = True
    return [
        module(captured, fixed, constants),
        module([*varying, *constants], before, [*results, *kept]),
        module([*kept, *constants, *tangents], behind, gradients),
    ]


def _inputs(nodes: set, ends: Iterable = ()) -> set:
    """Returns what these nodes use, and the ends themselves."""
    found = {x for node in nodes for x in node.all_input_nodes}
    return (found | set(ends)) - {None}


def _needed(ends: Iterable, among: set) -> set:
    """Returns the nodes among these that the ends depend on."""
    found: set = set()
    waiting = [x for x in ends if x is not None]
    while waiting:
        node = waiting.pop()
        if node in among and node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _quick(nodes: set, known: set) -> set:
    """Returns what is quick to repeat, of these and what they need."""
    found: set = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in known and node not in found and is_quick(node):
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _module(
    root: fx.GraphModule, inputs: list, nodes: list, ends: list
) -> fx.GraphModule:
    """Makes a module of some nodes, from these inputs to these ends."""
    graph: fx.Graph = fx.Graph()
    copies: dict = {}
    for node in inputs:
        copies[node] = graph.placeholder(node.name)
        copies[node].meta = dict(node.meta)
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(None if x is None else copies[x] for x in ends))
    graph.eliminate_dead_code()
    return fx.GraphModule(root, graph)
