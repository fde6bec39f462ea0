"""What one step of a scan does, as a list of calls of PyTorch functions."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import torch

from keras_fivo.backend.torch.recorder import (
    Call,
    Recorder,
    Reference,
    Untraceable,
)
from keras_fivo.types import Nested


@dataclass(frozen=True)
class Recording:
    """A step, recorded.

    Only calls whose arguments depend on the step's inputs are in it. All
    else (weights, their slices, constants) is the same at every step of one
    scan, has just been computed, and enters as a captured tensor.

    Attributes:
        calls: What it calls, in order.
        tensors: What references stood for when it was recorded.
        captured: Tensors from outside, with their gradients' history.
        inputs: The carry and the step's inputs, flat.
        carry: References of the new carry.
        outputs: References of the outputs.
        structure: The outputs, nested, to pack others like them.
        key: Hashable; equal for steps that do the same with equal shapes.
    """

    calls: list[Call]
    tensors: dict[Reference, torch.Tensor]
    captured: list[torch.Tensor]
    inputs: list[torch.Tensor]
    carry: list[Reference]
    outputs: list[Reference]
    structure: Nested
    key: tuple


def _describe(tensor: torch.Tensor) -> tuple:
    return (
        tuple(tensor.shape),
        tensor.dtype,
        tensor.device,
        tensor.requires_grad,
    )


def record(step: Callable, carry: Nested, now: Nested) -> Recording:
    """Runs a step once and records it.

    Args:
        step: Takes a carry and the inputs of one step, and returns the new
            carry and the outputs.
        carry: Nested tensors.
        now: Nested tensors, the inputs of one step.

    Raises:
        Untraceable: If the step does what a recording cannot hold.
    """
    flat_carry = keras.tree.flatten(carry)
    inputs = [*flat_carry, *keras.tree.flatten(now)]
    if not all(isinstance(x, torch.Tensor) for x in inputs):
        raise Untraceable("takes what is no tensor")
    random = torch.random.get_rng_state()
    recorder = Recorder(inputs)
    try:
        with recorder:
            new_carry, outputs = step(carry, now)
    except Exception as error:
        if recorder.reason is None:
            raise
        raise Untraceable(recorder.reason) from error
    if not torch.equal(random, torch.random.get_rng_state()):
        torch.random.set_rng_state(random)
        raise Untraceable("draws random numbers")
    flat_new = keras.tree.flatten(new_carry)
    flat_outputs = keras.tree.flatten(outputs)
    if not all(isinstance(x, torch.Tensor) for x in (*flat_new, *flat_outputs)):
        raise Untraceable("returns what is no tensor")
    _check_carry(carry, new_carry, flat_carry, flat_new)
    references = [recorder.reference(x) for x in flat_new]
    kept = [recorder.reference(x) for x in flat_outputs]
    key = (
        tuple(recorder.keys),
        tuple(references),
        tuple(kept),
        len(flat_carry),
        tuple(_describe(x) for x in inputs),
        tuple(_describe(x) for x in recorder.captured),
        torch.is_grad_enabled(),
    )
    return Recording(
        calls=recorder.calls,
        tensors=recorder.tensors,
        captured=recorder.captured,
        inputs=inputs,
        carry=references,
        outputs=kept,
        structure=outputs,
        key=key,
    )


def _check_carry(old: Nested, new: Nested, before: list, after: list) -> None:
    try:
        keras.tree.assert_same_structure(old, new)
    except (TypeError, ValueError) as error:
        raise Untraceable("changes the structure of its carry") from error
    for a, b in zip(before, after, strict=True):
        if _describe(a)[:3] != _describe(b)[:3]:
            raise Untraceable("changes a shape or dtype of its carry")
