"""The graphs of a recorded step: forward, backward, and what stays apart."""

from dataclasses import dataclass

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

from keras_fivo.backend.torch.recorder import Untraceable
from keras_fivo.backend.torch.recording import Recording

_aten = torch.ops.aten
OPERATOR = type(_aten.add.Tensor)


@dataclass(frozen=True)
class Sizes:
    """Numbers of tensors that enter and leave a step.

    Attributes:
        carry: Tensors in the carry.
        inputs: Inputs of one step.
        captured: Tensors from outside.
        outputs: Outputs of one step.
    """

    carry: int
    inputs: int
    captured: int
    outputs: int

    @property
    def taken(self) -> int:
        """Arguments of a step."""
        return self.carry + self.inputs + self.captured

    @property
    def given(self) -> int:
        """Results of a step."""
        return self.carry + self.outputs


@dataclass(frozen=True)
class Joint:
    """A step and its pull-back in one graph of ATen operators.

    The graph takes the step's arguments, then the gradients of the results
    in `pulled`; it gives the step's results, then the gradient of each
    argument, or None.
    """

    module: fx.GraphModule
    sizes: Sizes
    pulled: list[int]
    wanted: list[int]


@dataclass(frozen=True)
class Reach:
    """Which gradients a step passes on.

    Attributes:
        wanted: Arguments that have a gradient.
        results: For each result that has a gradient, by its index, the
            arguments that the gradient goes to.
    """

    wanted: list[int]
    results: dict[int, set]

    def pulled(self, given: set, carry: int) -> tuple:
        """Finds results whose gradients take part, where the last are given.

        Args:
            given: Results of the scan with a gradient.
            carry: Number of tensors in the carry.
        """
        found: set = set()
        waiting = [i for i in given if i in self.results]
        while waiting:
            i = waiting.pop()
            if i not in found:
                found.add(i)
                ends = (j for j in self.results[i] if j < carry)
                waiting.extend(j for j in ends if j in self.results)
        return tuple(sorted(found))


def reach_of(recording: Recording, sizes: Sizes, examples: list) -> Reach:
    """Runs a step and its gradients to see where they go.

    The carry of the first step may need none where that of later ones does.
    """
    wanted = [x.requires_grad for x in examples]
    while True:
        leaves = [
            x.detach().requires_grad_(want)
            for x, want in zip(examples, wanted, strict=True)
        ]
        results = _run(recording, sizes, leaves)
        grown = list(wanted)
        for i in range(sizes.carry):
            grown[i] = wanted[i] or results[i].requires_grad
        if grown == wanted:
            break
        wanted = grown
    indices = [i for i, want in enumerate(wanted) if want]
    reached = {}
    for i, result in enumerate(results):
        if result.requires_grad:
            found = torch.autograd.grad(
                result,
                [leaves[j] for j in indices],
                torch.zeros_like(result),
                retain_graph=True,
                allow_unused=True,
            )
            pairs = zip(indices, found, strict=True)
            reached[i] = {j for j, x in pairs if x is not None}
    return Reach(indices, reached)


def zeros_of(description: tuple) -> torch.Tensor:
    """Returns zeros of this shape, dtype and device."""
    shape, dtype, device = description
    return torch.zeros(shape, dtype=dtype, device=device)


def _run(recording: Recording, sizes: Sizes, arguments: list) -> list:
    split = sizes.carry + sizes.inputs
    return recording.replay(arguments[:split], arguments[split:])


def trace(
    recording: Recording,
    sizes: Sizes,
    arguments: list,
    wanted: list[int],
    pulled: list[int],
    decompositions: dict | None = None,
) -> Joint:
    """Traces a recorded step and its pull-back.

    Args:
        recording: The step.
        sizes: Its sizes.
        arguments: Of its arguments the shapes, dtypes and devices.
        wanted: Arguments whose gradients are asked for.
        pulled: Results whose gradients will be given.
        decompositions: Operators to express by others.
    """

    def joint(*tensors: torch.Tensor) -> tuple:
        tangents = tensors[sizes.taken :]
        leaves = [x.detach() for x in tensors[: sizes.taken]]
        for i in wanted:
            leaves[i].requires_grad_()
        with torch.set_grad_enabled(bool(pulled) or recording.differentiates):
            results = _run(recording, sizes, leaves)
        gradients: list = [None] * sizes.taken
        if pulled:
            found = torch.autograd.grad(
                [results[i] for i in pulled],
                [leaves[i] for i in wanted],
                tangents,
                allow_unused=True,
            )
            for i, gradient in zip(wanted, found, strict=True):
                gradients[i] = gradient
        return (*results, *gradients)

    shapes = [recording.results[i] for i in pulled]
    inputs = [zeros_of(x) for x in (*arguments, *shapes)]
    try:
        module = make_fx(joint, tracing_mode="fake")(*inputs)
        # PyTorch's own formulas of gradients write into their temporaries.
        pure = torch.func.functionalize(module)
        with torch.no_grad():
            module = make_fx(pure, decompositions, tracing_mode="fake")(*inputs)
    except Exception as error:
        raise Untraceable(f"cannot be traced ({error})") from error
    _clean(module.graph)
    _check(module.graph)
    return Joint(module, sizes, pulled, wanted)


def _clean(graph: fx.Graph) -> None:
    """Drops calls that only rename a tensor, and calls without users."""
    for node in list(graph.nodes):
        if node.op == "call_function" and _is_identity(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()


def value_of(node: fx.Node) -> torch.Tensor:
    """Returns a fake tensor: shape, dtype and device of a traced node."""
    return node.meta["val"]


_SAME_SHAPE = {
    _aten.view.default,
    _aten._unsafe_view.default,
    _aten.expand.default,
}


def _is_identity(node: fx.Node) -> bool:
    if node.target in (_aten.detach.default, _aten.alias.default):
        return True
    if node.target in _SAME_SHAPE and isinstance(node.args[0], fx.Node):
        before, after = value_of(node.args[0]), value_of(node)
        return before.shape == after.shape
    return False


def _check(graph: fx.Graph) -> None:
    """Refuses what a graph of pure functions cannot hold."""
    for node in graph.nodes:
        if not isinstance(node.target, OPERATOR):
            continue
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise Untraceable("draws random numbers")
        if node.target._schema.is_mutable:
            raise Untraceable(f"changes a tensor by {node.target}")
