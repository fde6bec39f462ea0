"""Programs: traced steps that any scan of the same step and shapes runs."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from keras_fivo.backend.products import count_lifted
from keras_fivo.backend.torch import compilation, execution
from keras_fivo.backend.torch.graphs import trace, widened
from keras_fivo.backend.torch.loops import Plan, run_backward, run_forward
from keras_fivo.backend.torch.lowering import quick
from keras_fivo.backend.torch.partition import partition
from keras_fivo.backend.torch.products import Product, find_products
from keras_fivo.backend.torch.recorder import Untraceable
from keras_fivo.backend.torch.recording import Recording

_PROGRAMS: dict = {}
_MOST_PROGRAMS = 256


def find_program(recording: Recording, mode: str) -> "Program":
    """Returns the program of a recorded step, traced where it is new.

    Raises:
        Untraceable: If the step cannot be traced.
    """
    key = (recording.key, mode)
    program = _PROGRAMS.get(key)
    if program is None:
        while len(_PROGRAMS) >= _MOST_PROGRAMS:
            del _PROGRAMS[next(iter(_PROGRAMS))]
        try:
            program = Program(recording, mode)
        except Untraceable as reason:
            program = reason
        _PROGRAMS[key] = program
    if isinstance(program, Untraceable):
        raise program.with_traceback(None)
    return program


class Program:
    """A recorded step as functions, without the tensors that it captured.

    Args:
        recording: The step.
        mode: `"traced"` or `"compiled"`.
    """

    def __init__(self, recording: Recording, mode: str) -> None:
        found = find_products(recording)
        self.products = [x for x in found.values() if x is not None]
        self.plan = _plan(recording, found, mode == "compiled")

    def run(
        self, carry: list, columns: list, captured: list, reverse: bool
    ) -> tuple[list, list]:
        """Returns the final carry and the stacked outputs."""
        tensors = [x.contiguous() for x in (*carry, *columns, *captured)]
        if self.plan.joint.pulled:
            results = _Scan.apply(self, reverse, *tensors)
        else:
            with torch.no_grad():
                results, _ = run_forward(self.plan, tensors, reverse)
        return list(results[: len(carry)]), list(results[len(carry) :])


def _plan(
    recording: Recording, products: dict[int, Product | None], compiles: bool
) -> Plan:
    """Returns a step as functions: compiled, or where that fails not."""
    try:
        table = compilation.decompositions() if compiles else None
        joint = trace(recording, products, table)
        constants, forward, backward = partition(joint, recompute=compiles)
        lower = compilation.compile_graph if compiles else quick
        parts = quick(constants), lower(forward), lower(backward)
        return Plan(joint, *parts, compiled=compiles)
    except compilation.CompilationFailed as reason:
        execution.say_traced(reason)
        return _plan(recording, products, compiles=False)


def weight_gradients(
    products: list[Product], rows: list, slots: list
) -> dict[int, torch.Tensor]:
    """Forms the gradients of products' weights, of all steps at once.

    Args:
        products: The products.
        rows: By step what each read.
        slots: By step the gradient of what each gave, or None.

    Returns:
        Gradients by the places of the weights among what was captured.
    """
    count_lifted(len(products))
    total: dict[int, torch.Tensor] = {}
    workspace: dict = {}
    columns = zip(*rows, strict=True), zip(*slots, strict=True)
    for product, read, slot in zip(products, *columns, strict=True):
        if slot[0] is None:
            continue
        joined = _join(workspace, 0, read), _join(workspace, 1, slot)
        found = {product.kernel: joined[0].t() @ joined[1]}
        if product.bias is not None:
            found[product.bias] = joined[1].sum(0)
        for place, gradient in found.items():
            known = total.get(place)
            total[place] = gradient if known is None else known + gradient
    return total


def _join(workspace: dict, side: int, parts: tuple) -> torch.Tensor:
    """Returns tensors one below the other, `(rows, size)`, in full precision.

    It lies in memory that is used again: fresh memory for each product costs
    more than the copy.
    """
    first = parts[0]
    shape = (len(parts) * first.shape[0], *first.shape[1:])
    key, number = (side, first.dtype), len(parts) * first.numel()
    if key not in workspace or len(workspace[key]) < number:
        workspace[key] = first.new_empty(number)
    joined = torch.cat(parts, out=workspace[key][:number].view(shape))
    return widened(joined.view(-1, shape[-1]))


class _Scan(torch.autograd.Function):
    """A scan of a program, with the gradient of each argument."""

    @staticmethod
    def forward(
        ctx: Any, program: Program, reverse: bool, *tensors: torch.Tensor
    ) -> tuple:
        plan = program.plan
        results, ctx.trail = run_forward(plan, tensors, reverse)
        ctx.program = program
        ctx.set_materialize_grads(False)
        # Notices where they are changed before the backward pass.
        ctx.save_for_backward(*tensors)
        pulled = plan.joint.pulled
        likes = [results[i] for i in pulled]
        ctx.likes = [(x.shape, x.dtype, x.device) for x in likes]
        ctx.mark_non_differentiable(
            *(x for i, x in enumerate(results) if i not in pulled)
        )
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple:
        program, tensors = ctx.program, ctx.saved_tensors
        plan = program.plan
        upstream = [
            torch.zeros(shape, dtype=dtype, device=device)
            if gradients[i] is None
            else gradients[i].contiguous()
            for i, (shape, dtype, device) in zip(
                plan.joint.pulled, ctx.likes, strict=True
            )
        ]
        total, slots = run_backward(plan, ctx.trail, upstream)
        first = plan.joint.sizes.varying
        formed = weight_gradients(program.products, ctx.trail.rows, slots)
        for place, gradient in formed.items():
            known = total.get(first + place)
            total[first + place] = (
                gradient if known is None else known + gradient
            )
        return (None, None, *(total.get(i) for i in range(len(tensors))))
