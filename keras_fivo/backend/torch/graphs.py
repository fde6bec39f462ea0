"""The graph of a recorded step and its pull-back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx

from keras_fivo.backend.torch.products import Product, replay
from keras_fivo.backend.torch.recorder import Untraceable
from keras_fivo.backend.torch.recording import Recording
from keras_fivo.backend.torch.simplify import simplify


@dataclass(frozen=True)
class Sizes:
    """Numbers of tensors that enter and leave a step.

    Attributes:
        carry: Tensors in the carry.
        inputs: Inputs of one step.
        captured: Tensors from outside.
        outputs: Outputs of one step.
        rows: Tensors that products read, which leave with the outputs.
    """

    carry: int
    inputs: int
    captured: int
    outputs: int
    rows: int

    @property
    def varying(self) -> int:
        """Arguments of a step that are its own."""
        return self.carry + self.inputs

    @property
    def taken(self) -> int:
        """Arguments of a step."""
        return self.varying + self.captured

    @property
    def given(self) -> int:
        """Results of a step, but for the rows."""
        return self.carry + self.outputs


@dataclass(frozen=True)
class Joint:
    """A step and its pull-back in one graph of ATen operators.

    The graph takes the step's arguments, then the gradients of the results
    in `pulled`; it gives the step's results and rows, then the gradients of
    the arguments in `wanted`, and of what the products gave, or None.
    """

    module: fx.GraphModule
    sizes: Sizes
    pulled: list[int]
    wanted: list[int]


def trace(
    recording: Recording,
    products: dict[int, Product | None],
    decompositions: dict | None = None,
) -> Joint:
    """Traces a recorded step, and its pull-back.

    Args:
        recording: The step.
        products: Those whose weights it reads as constants.
        decompositions: Operators to express by others.

    Raises:
        Untraceable: If PyTorch cannot trace it.
    """
    examples = [*recording.inputs, *recording.captured]
    differentiates = torch.is_grad_enabled() and any(
        x.requires_grad for x in examples
    )
    number = sum(x is not None for x in products.values())
    sizes = _sizes(recording, number if differentiates else 0)
    # The first carry may need no gradient where later ones do.
    wanted = [
        i
        for i, x in enumerate(examples)
        if differentiates
        and (x.is_floating_point() if i < sizes.carry else x.requires_grad)
    ]

    def run(tensors: Sequence[torch.Tensor]) -> tuple[list, list, list]:
        split = sizes.varying
        leaves, read = _leaves(tensors, wanted, split)
        inputs, captured = read[:split], read[split:]
        with torch.set_grad_enabled(differentiates):
            results, rows, given = replay(recording, products, inputs, captured)
        return leaves, [*results, *rows] if differentiates else results, given

    def joint(*tensors: torch.Tensor) -> tuple:
        leaves, results, given = run(tensors[: sizes.taken])
        if not pulled:
            return tuple(results)
        found = torch.autograd.grad(
            [results[i] for i in pulled],
            [*(leaves[i] for i in wanted), *given],
            tensors[sizes.taken :],
            allow_unused=True,
        )
        return (*results, *found)

    inputs = [x.detach().contiguous() for x in examples]
    try:
        results = run(inputs)[1][: sizes.given]
        pulled = [i for i, x in enumerate(results) if x.requires_grad]
        pulled = pulled if differentiates else []
        inputs += [results[i].detach().contiguous() for i in pulled]
        module = _pure(joint, inputs, decompositions)
    except Exception as error:
        raise Untraceable(f"cannot be traced ({error})") from error
    reached = _drop_nothing(module.graph, sizes.given + sizes.rows, len(wanted))
    return Joint(module, sizes, pulled, [wanted[i] for i in reached])


def _pure(
    function: Callable, inputs: list, decompositions: dict | None
) -> fx.GraphModule:
    """Traces a function as a graph of operators that change no tensor."""
    module = make_fx(function, tracing_mode="fake")(*inputs)
    # PyTorch's own formulas of gradients write into their temporaries.
    pure = torch.func.functionalize(module)
    with torch.no_grad():
        module = make_fx(pure, decompositions, tracing_mode="fake")(*inputs)
    simplify(module.graph)
    for node in module.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if schema is not None and schema.is_mutable:
            raise Untraceable(f"changes a tensor by {node.target}")
    return module


def _leaves(
    tensors: Sequence[torch.Tensor], wanted: list[int], varying: int
) -> tuple[list, list]:
    """Returns what gradients are taken of, and the same as a step reads it.

    The gradients of captured tensors are added up in full precision.
    """
    leaves = [x.detach() for x in tensors]
    for i in wanted:
        if i >= varying:
            leaves[i] = widened(leaves[i])
        leaves[i].requires_grad_()
    pairs = zip(leaves, tensors, strict=True)
    return leaves, [x.to(like.dtype) for x, like in pairs]


def _sizes(recording: Recording, rows: int) -> Sizes:
    """Counts the tensors of a step."""
    carry, outputs = len(recording.carry), len(recording.outputs)
    inputs = len(recording.inputs) - carry
    return Sizes(carry, inputs, len(recording.captured), outputs, rows)


def _drop_nothing(graph: fx.Graph, first: int, count: int) -> list[int]:
    """Drops gradients that are None, of so many; returns which are left."""
    end = graph.output_node()
    (results,) = end.args
    last = first + count
    kept = [i for i, x in enumerate(results[first:last]) if x is not None]
    found = [results[first + i] for i in kept]
    end.args = ((*results[:first], *found, *results[last:]),)
    return kept


def widened(x: torch.Tensor) -> torch.Tensor:
    """Takes half precision to the full one, in which time is summed over."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
