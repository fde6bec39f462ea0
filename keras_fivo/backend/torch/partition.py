"""Cuts the joint graph of a step into what runs when."""

from dataclasses import dataclass

import torch
from torch import fx

from keras_fivo.backend.torch.graphs import Joint
from keras_fivo.backend.torch.simplify import is_quick, simplify
from keras_fivo.backend.torch.tails import Tails


@dataclass(frozen=True)
class Parts:
    """The parts of a joint graph.

    Attributes:
        constants: Captured tensors to what depends on them alone: once.
        forward: Carry, inputs and `forward_constants` to the new carry, the
            outputs and what is saved for the backward graph: each step.
        backward: What was saved, `backward_constants` and the gradients of
            the results in `pulled` to the gradients of `wanted` carry and
            inputs, then the feeds of the tails: each step, in reverse.
        forward_constants: Indices into the constants.
        backward_constants: Indices into the constants.
        tails: For each captured tensor with a gradient its index and how to
            form it from the feeds of all steps, once.
        summed: Feeds of which only the sum over steps is needed.
    """

    joint: Joint
    constants: fx.GraphModule
    forward: fx.GraphModule
    backward: fx.GraphModule
    forward_constants: list[int]
    backward_constants: list[int]
    tails: list[tuple[int, tuple]]
    summed: set[int]


_CHECKS = {torch.ops.aten._linalg_check_errors.default}


class _Partition:
    """Which nodes belong where."""

    def __init__(self, joint: Joint) -> None:
        graph = joint.module.graph
        simplify(graph)
        self.joint, sizes = joint, joint.sizes
        nodes = list(graph.nodes)
        inputs = [x for x in nodes if x.op == "placeholder"]
        varying = sizes.carry + sizes.inputs
        self.varying = inputs[:varying]
        self.captured = inputs[varying : sizes.taken]
        self.tangents = inputs[sizes.taken :]
        results = list(nodes[-1].args[0])
        self.results = results[: sizes.given]
        # Checks that raise an error, and give nothing.
        self.checks = [x for x in nodes if x.target in _CHECKS]
        self.gradients = results[sizes.given :]
        self.body = [x for x in nodes if x.op in ("call_function", "get_attr")]
        self.fixed = set(self.captured)
        self.late = set(self.tangents)
        for node in self.body:
            used = node.all_input_nodes
            if any(x in self.late for x in used):
                self.late.add(node)
            elif all(x in self.fixed for x in used):
                self.fixed.add(node)

    def backward(self, ends: list, recompute: bool) -> tuple[set, list]:
        """Returns nodes of the backward graph, and what it takes of the other.

        Args:
            ends: What it shall give, or None.
            recompute: See `partition`.
        """
        late = _needed(ends, self.late - set(self.tangents))
        early = {x for node in late for x in node.all_input_nodes}
        early = (early | set(ends)) - self.late - {None}
        again = self._repeated(early) if recompute else set()
        early |= {x for node in again for x in node.all_input_nodes}
        early -= again | self.fixed
        saved = [x for x in (*self.varying, *self.body) if x in early]
        return late | again, saved

    def forward(self, results: list) -> set:
        """Returns nodes of the forward graph, which gives these results."""
        among = set(self.body) - self.fixed - self.late
        return _needed([*results, *self.checks], among)

    def known(self) -> list:
        """Returns all constants, in their order."""
        return [*self.captured, *(x for x in self.body if x in self.fixed)]

    def constants(self, nodes: set, outputs: list) -> set:
        """Constants that these nodes use, or that are among the outputs."""
        used = {x for node in nodes for x in node.all_input_nodes}
        return (used | set(outputs)) & self.fixed

    def module(
        self, inputs: list, chosen: set, outputs: list
    ) -> fx.GraphModule:
        """Makes a module of the chosen nodes, from these inputs to outputs."""
        graph: fx.Graph = fx.Graph()
        copies: dict = {}
        for node in inputs:
            copies[node] = graph.placeholder(node.name)
            copies[node].meta = dict(node.meta)
        for node in self.body:
            if node in chosen:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        graph.output(tuple(None if x is None else copies[x] for x in outputs))
        graph.eliminate_dead_code()
        return fx.GraphModule(self.joint.module, graph)

    def _repeated(self, nodes: set) -> set:
        """Returns what is quick to repeat, of these and what they need."""
        known = {*self.fixed, *self.varying, *self.results}
        found: set = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in known and node not in found and is_quick(node):
                found.add(node)
                waiting.extend(node.all_input_nodes)
        return found


def partition(joint: Joint, recompute: bool = False) -> Parts:
    """Cuts a joint graph; see `Parts`.

    Args:
        joint: The graph; changed.
        recompute: Whether the backward graph computes again what is quick to
            compute, rather than having it saved at each step.
    """
    cut, varying = _Partition(joint), joint.sizes.carry + joint.sizes.inputs
    tails = Tails(cut.fixed, cut.late)
    formed = [
        (i, tails.form(node))
        for i, node in enumerate(cut.gradients[varying:])
        if node is not None
    ]
    pulled_back = [cut.gradients[i] for i in joint.wanted if i < varying]
    ends = [*pulled_back, *tails.feeds]
    late, saved = cut.backward(ends, recompute)
    results = [*cut.results, *saved]
    forward = cut.forward(results)
    before, after = cut.constants(forward, results), cut.constants(late, ends)
    constants = [x for x in cut.known() if x in before | after]
    first = [x for x in constants if x in before]
    last = [x for x in constants if x in after]
    return Parts(
        joint,
        cut.module(cut.captured, cut.fixed, constants),
        cut.module([*cut.varying, *first], forward, results),
        cut.module([*saved, *last, *cut.tangents], late, ends),
        [constants.index(x) for x in first],
        [constants.index(x) for x in last],
        formed,
        tails.summed,
    )


def _needed(outputs: list, among: set) -> set:
    """Returns the nodes among these that the outputs depend on."""
    found: set = set()
    waiting = [x for x in outputs if x is not None]
    while waiting:
        node = waiting.pop()
        if node in among and node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found
