"""Loops over time that run the graphs of a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from keras_fivo.backend.torch.graphs import Joint


@dataclass(frozen=True)
class Plan:
    """The parts of a joint graph, as functions.

    Attributes:
        joint: The graph.
        constants: Captured tensors to what depends on them alone: once.
        forward: Carry, inputs and constants to the new carry, the outputs,
            the rows and what is saved for the backward graph: each step.
        backward: What was saved, the constants and the gradients of the
            results in `pulled` to the gradients that the joint graph gives:
            each step, in reverse.
        compiled: Whether forward and backward are machine code.
    """

    joint: Joint
    constants: Callable
    forward: Callable
    backward: Callable
    compiled: bool


@dataclass(frozen=True)
class Trail:
    """What a forward loop leaves for the backward loop.

    Attributes:
        rows: What products read, by step, in the order in which they ran.
        saved: What each step saved.
        constants: As from `Plan.constants`.
        reverse: Whether the last step ran first.
    """

    rows: list
    saved: list
    constants: tuple
    reverse: bool


def run_forward(
    plan: Plan, tensors: Sequence[torch.Tensor], reverse: bool
) -> tuple[list, Trail]:
    """Returns the final carry and the stacked outputs, flat, and the trail.

    Args:
        plan: The functions to run.
        tensors: Initial carry, inputs with time first, captured tensors.
        reverse: Whether to run from the last step to the first.
    """
    sizes, step = plan.joint.sizes, plan.forward
    first, given, end = sizes.carry, sizes.given, sizes.given + sizes.rows
    constants = plan.constants(*tensors[sizes.varying :])
    carry = tensors[:first]
    columns = [x.unbind(0) for x in tensors[first : sizes.varying]]
    steps = list(zip(*columns, strict=True))
    outputs, rows, saved = [], [], []
    for now in reversed(steps) if reverse else steps:
        results = step(*carry, *now, *constants)
        carry = results[:first]
        outputs.append(results[first:given])
        rows.append(results[given:end])
        saved.append(results[end:])
    if reverse:
        outputs.reverse()
    stacked = [torch.stack(x) for x in zip(*outputs, strict=True)]
    # What is saved must not be what autograd gives a history: a cycle.
    final = [x.detach() for x in carry]
    return [*final, *stacked], Trail(rows, saved, constants, reverse)


def run_backward(
    plan: Plan, trail: Trail, gradients: list
) -> tuple[dict, list]:
    """Runs the pull-back of each step.

    Args:
        plan: The functions to run.
        trail: What the forward loop left.
        gradients: Of the results in `pulled`.

    Returns:
        By their places among the step's arguments the gradients of the first
        carry, the inputs and what was captured; and by step, in the order of
        the trail, those of what products gave.
    """
    joint, wanted = plan.joint, plan.joint.wanted
    carry, varying = joint.sizes.carry, joint.sizes.varying
    states = [i for i in joint.pulled if i < carry]
    tangents = gradients[: len(states)]
    # Where a new carry does not depend on the old one, that gets zeros.
    nothing = [torch.zeros_like(x) for x in tangents]
    places = [wanted.index(i) if i in wanted else None for i in states]
    own, split = sum(i < varying for i in wanted), len(wanted)
    columns = [x.unbind(0) for x in gradients[len(states) :]]
    times = [*zip(*columns, strict=True)] or [()] * len(trail.saved)
    if trail.reverse:
        times.reverse()
    steps: list[Sequence] = []
    slots: list[Sequence] = []
    sums: list[torch.Tensor] = []
    for saved, now in zip(trail.saved[::-1], times[::-1], strict=True):
        found = plan.backward(*saved, *trail.constants, *tangents, *now)
        tangents = [
            zeros if place is None else found[place]
            for place, zeros in zip(places, nothing, strict=True)
        ]
        steps.append(found[:own])
        slots.append(found[split:])
        sums = sums or [torch.zeros_like(x) for x in found[own:split]]
        for total, x in zip(sums, found[own:split], strict=True):
            total.add_(x)
    formed = dict(zip(wanted[own:], sums, strict=True))
    for place, i in enumerate(wanted[:own]):
        column = [x[place] for x in steps]
        formed[i] = (
            column[-1]
            if i < carry
            else torch.stack(column if trail.reverse else column[::-1])
        )
    return formed, slots[::-1]
