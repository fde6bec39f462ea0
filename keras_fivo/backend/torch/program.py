"""Programs: traced steps that any scan of the same step and shapes runs."""

from dataclasses import replace
from typing import Any

import keras
import torch
from torch.autograd.function import once_differentiable

from keras_fivo.backend.torch import compilation, execution
from keras_fivo.backend.torch.graphs import (
    Reach,
    Sizes,
    reach_of,
    trace,
    zeros_of,
)
from keras_fivo.backend.torch.loops import Plan, run_backward, run_forward
from keras_fivo.backend.torch.lowering import quick
from keras_fivo.backend.torch.partition import Parts, partition
from keras_fivo.backend.torch.recorder import Untraceable
from keras_fivo.backend.torch.recording import Recording
from keras_fivo.types import Nested

_PROGRAMS: dict = {}
_MOST_PROGRAMS = 256


def find_program(
    recording: Recording, carry: Nested, now: Nested, mode: str
) -> "Program":
    """Returns the program of a recorded step, traced where it is new.

    Raises:
        Untraceable: If the step cannot be traced.
    """
    key = (recording.key, mode)
    program = _PROGRAMS.get(key)
    if program is None:
        while len(_PROGRAMS) >= _MOST_PROGRAMS:
            del _PROGRAMS[next(iter(_PROGRAMS))]
        arguments = [*keras.tree.flatten(carry), *keras.tree.flatten(now)]
        try:
            program = Program(recording, arguments, mode)
        except Untraceable as reason:
            program = reason
        _PROGRAMS[key] = program
    if isinstance(program, Untraceable):
        raise program.with_traceback(None)
    return program


class Program:
    """A recorded step as graphs.

    Args:
        recording: The step.
        arguments: Its carry and inputs.
        mode: `"traced"` or `"compiled"`.
    """

    def __init__(
        self, recording: Recording, arguments: list, mode: str
    ) -> None:
        sizes = Sizes(
            carry=len(recording.carry),
            inputs=len(arguments) - len(recording.carry),
            captured=len(recording.captured),
            outputs=len(recording.outputs),
        )
        examples = [*arguments, *recording.captured]
        self.sizes, self.mode = sizes, mode
        self.reach = Reach([], {})
        if torch.is_grad_enabled():
            self.reach = reach_of(recording, sizes, examples)
        # A program outlives the tensors that it was traced with.
        self.recording = replace(recording, captured=[], structure=None)
        self.arguments = [(tuple(x.shape), x.dtype, x.device) for x in examples]
        self.pulled: tuple = ()
        self._plans: dict = {}
        self.plan((), compiles=False)

    def settled_plan(self) -> Plan:
        """Returns the functions to run a scan with.

        Which results have a gradient shows in the first backward pass:
        until then none is expected, and nothing is compiled.
        """
        settled = bool(self.pulled) or not self.reach.wanted
        try:
            return self.plan(self.pulled, self.mode == "compiled" and settled)
        except compilation.CompilationFailed as reason:
            execution.say_traced(reason)
            self.mode = "traced"
            return self.plan(self.pulled, compiles=False)

    def plan(self, pulled: tuple, compiles: bool) -> Plan:
        """Functions for the gradients of these results, made if new."""
        key = (pulled, compiles)
        if key not in self._plans:
            joint = trace(
                self.recording,
                self.sizes,
                self.arguments,
                self.reach.wanted,
                list(pulled),
                compilation.decompositions() if compiles else None,
            )
            parts = partition(joint, recompute=compiles)
            self._plans[key] = _lower(parts, compiles)
        return self._plans[key]

    def run(
        self, carry: list, columns: list, captured: list, reverse: bool
    ) -> tuple[list, list]:
        """Returns the final carry and the stacked outputs."""
        tensors = [x.contiguous() for x in (*carry, *columns, *captured)]
        if self.reach.results:
            results = _Scan.apply(self, reverse, *tensors)
        else:
            results, _ = run_forward(self.settled_plan(), tensors, reverse)
        return list(results[: len(carry)]), list(results[len(carry) :])


def _lower(parts: Parts, compiles: bool) -> Plan:
    """Makes functions of the parts.

    Raises:
        CompilationFailed: Where they shall be compiled and cannot.
    """
    constants, forward = quick(parts.constants), parts.forward
    if not compiles:
        return Plan(parts, constants, quick(forward), quick(parts.backward))
    sizes, joint = parts.joint.sizes, parts.joint
    varying = sizes.carry + sizes.inputs
    arguments = len(parts.backward.graph.find_nodes(op="placeholder"))
    end = arguments - len(joint.pulled)
    return Plan(
        parts,
        constants,
        compilation.compile_graph(
            forward, range(varying, varying + len(parts.forward_constants))
        ),
        compilation.compile_graph(
            parts.backward, range(end - len(parts.backward_constants), end)
        ),
    )


class _Scan(torch.autograd.Function):
    """A scan of a program, with the gradient of each argument."""

    @staticmethod
    def forward(
        ctx: Any, program: Program, reverse: bool, *tensors: torch.Tensor
    ) -> tuple:
        plan = program.settled_plan()
        results, ctx.trail = run_forward(plan, list(tensors), reverse)
        ctx.program = program
        ctx.set_materialize_grads(False)
        # Notices where they are changed before the backward pass.
        ctx.save_for_backward(*tensors)
        ctx.shapes = [(tuple(x.shape), x.dtype, x.device) for x in results]
        reached = program.reach.results
        ctx.mark_non_differentiable(
            *(x for i, x in enumerate(results) if i not in reached)
        )
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple:
        program, trail, tensors = ctx.program, ctx.trail, ctx.saved_tensors
        given = {i for i, x in enumerate(gradients) if x is not None}
        pulled = program.reach.pulled(given, program.sizes.carry)
        if tuple(trail.plan.parts.joint.pulled) != pulled:
            program.pulled = pulled
            plan = program.plan(pulled, compiles=False)
            _, trail = run_forward(plan, list(tensors), trail.reverse)
        filled = [
            zeros_of(shape) if gradient is None else gradient
            for gradient, shape in zip(gradients, ctx.shapes, strict=True)
        ]
        return (None, None, *run_backward(trail, filled))
