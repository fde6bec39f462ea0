"""Loops over time that run the graphs of a step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from keras_fivo.backend.torch.partition import Parts
from keras_fivo.backend.torch.tails import (
    Workspace,
    evaluate_tail,
    widened,
)


@dataclass(frozen=True)
class Plan:
    """The parts of a traced step, as functions; see `Parts`."""

    parts: Parts
    constants: Callable
    forward: Callable
    backward: Callable


@dataclass(frozen=True)
class Trail:
    """What a forward loop leaves for the backward loop.

    Attributes:
        plan: The functions that ran.
        saved: What each step saved, in the order in which they ran.
        constants: As from `Plan.constants`.
        reverse: Whether the last step ran first.
    """

    plan: Plan
    saved: list
    constants: tuple
    reverse: bool


def run_forward(plan: Plan, tensors: list, reverse: bool) -> tuple[list, Trail]:
    """Returns the final carry and the stacked outputs, and the trail.

    Args:
        plan: The functions to run.
        tensors: Initial carry, inputs with time first, captured tensors.
        reverse: Whether to run from the last step to the first.
    """
    sizes = plan.parts.joint.sizes
    first, last = sizes.carry, sizes.carry + sizes.inputs
    carry, given, step = tensors[:first], sizes.given, plan.forward
    constants = plan.constants(*tensors[last:])
    fixed = [constants[i] for i in plan.parts.forward_constants]
    steps = list(zip(*(x.unbind(0) for x in tensors[first:last]), strict=True))
    outputs, saved = [], []
    for now in reversed(steps) if reverse else steps:
        results = step(*carry, *now, *fixed)
        carry = results[:first]
        outputs.append(results[first:given])
        saved.append(results[given:])
    if reverse:
        outputs.reverse()
    stacked = [torch.stack(x) for x in zip(*outputs, strict=True)]
    # What is saved must not be what autograd gives a history: a cycle.
    final = [x.detach() for x in carry]
    return [*final, *stacked], Trail(plan, saved, constants, reverse)


def run_backward(trail: Trail, gradients: list) -> list:
    """Returns gradients of carry, inputs and captured tensors, or None.

    Args:
        trail: What the forward loop left.
        gradients: Of its results; those that the plan does not pull are
            not read.
    """
    plan, parts = trail.plan, trail.plan.parts
    sizes, pulled = parts.joint.sizes, parts.joint.pulled
    states = [i for i in pulled if i < sizes.carry]
    wanted = [i for i in parts.joint.wanted if i < sizes.carry]
    fixed = [trail.constants[i] for i in parts.backward_constants]
    tangents = [gradients[i].contiguous() for i in states]
    nothing = [torch.zeros_like(x) for x in tangents]
    places = [wanted.index(i) for i in states]
    columns = [gradients[i].contiguous() for i in pulled if i >= sizes.carry]
    count, collected = len(trail.saved), _Collector(parts, len(wanted))
    found: tuple = ()
    for index in reversed(range(count)):
        time = count - 1 - index if trail.reverse else index
        found = plan.backward(
            *trail.saved[index], *fixed, *tangents, *(x[time] for x in columns)
        )
        tangents = [
            none if found[i] is None else found[i]
            for i, none in zip(places, nothing, strict=True)
        ]
        collected.add(found)
    return collected.gradients(found, not trail.reverse)


class _Collector:
    """Gathers what the steps of a backward loop give."""

    def __init__(self, parts: Parts, states: int) -> None:
        sizes = parts.joint.sizes
        self.parts, self.sizes, self.states = parts, sizes, states
        inputs = range(sizes.carry, sizes.carry + sizes.inputs)
        self.inputs = [i for i in parts.joint.wanted if i in inputs]
        self.feeds_from = states + len(self.inputs)
        self.summed = {i + self.feeds_from for i in parts.summed}
        self.lists: list = []

    def add(self, found: tuple) -> None:
        """Takes the results of one step."""
        if not self.lists:
            self.lists = [
                widened(x).clone() if i in self.summed else [x]
                for i, x in enumerate(found)
            ]
            return
        for i in range(self.states, len(found)):
            if i in self.summed:
                self.lists[i].add_(found[i])
            else:
                self.lists[i].append(found[i])

    def gradients(self, last: tuple, backwards: bool) -> list:
        """Returns all gradients; `last` has those of the initial carry."""
        sizes, result = self.sizes, [None] * self.sizes.taken
        states = [i for i in self.parts.joint.wanted if i < sizes.carry]
        for place, i in enumerate(states):
            result[i] = last[place]
        for place, i in enumerate(self.inputs, start=self.states):
            column = self.lists[place]
            if column[0] is not None:
                result[i] = torch.stack(column[::-1] if backwards else column)
        feeds = self.lists[self.feeds_from :]
        workspace = Workspace()
        for i, tail in self.parts.tails:
            gradient = evaluate_tail(tail, feeds, workspace)
            result[sizes.carry + sizes.inputs + i] = gradient
        return result
