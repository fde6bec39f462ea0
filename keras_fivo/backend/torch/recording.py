"""What one step of a scan does, as a list of calls of PyTorch functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import torch

from keras_fivo.backend.torch.recorder import (
    Recorder,
    Reference,
    Untraceable,
    rebuild,
)
from keras_fivo.types import Nested


@dataclass(frozen=True)
class Recording:
    """A step, recorded.

    Only calls whose arguments depend on the step's inputs are in it. All
    else (weights, their slices, constants) is the same at every step of one
    scan, has just been computed, and enters as a captured tensor.

    Attributes:
        calls: Function, arguments and keyword arguments of each call, with
            references for tensors, and whether it gives new tensors.
        captured: Tensors from outside, with their gradients' history.
        carry: References of the new carry.
        outputs: References of the outputs.
        structure: The outputs, nested, to pack others like them.
        results: Shapes, dtypes and devices of new carry and outputs.
        key: Hashable; equal for steps that do the same with equal shapes.
    """

    calls: list
    captured: list
    carry: list
    outputs: list
    structure: Nested
    results: list
    key: tuple

    @property
    def differentiates(self) -> bool:
        """Whether the step itself takes gradients."""
        return any(call[0] is torch.autograd.grad for call in self.calls)

    def replay(self, inputs: list, captured: list) -> list:
        """Returns the new carry and outputs, flat, for other inputs."""
        values = [*inputs]

        def read(x: Any) -> Any:
            if isinstance(x, Reference):
                return values[x.index] if x.index >= 0 else captured[~x.index]
            if isinstance(x, (list, tuple)):
                return rebuild(x, [read(item) for item in x])
            if isinstance(x, slice):
                return slice(read(x.start), read(x.stop), read(x.step))
            return x

        for function, arguments, options, gives in self.calls:
            result = function(
                *(read(x) for x in arguments),
                **{name: read(x) for name, x in options.items()},
            )
            if not gives:
                continue
            if isinstance(result, torch.Tensor):
                values.append(result)
            else:
                values.extend(result)
        return [read(x) for x in (*self.carry, *self.outputs)]


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
        recorder.grad,
    )
    results = [_describe(x)[:3] for x in (*flat_new, *flat_outputs)]
    return Recording(
        calls=recorder.calls,
        captured=recorder.captured,
        carry=references,
        outputs=kept,
        structure=outputs,
        results=results,
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
