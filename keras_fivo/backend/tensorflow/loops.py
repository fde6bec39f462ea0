"""The forward and the backward loop over a traced step."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_fivo.backend.tensorflow.copying import copy_operations
from keras_fivo.backend.tensorflow.step_graph import Kind, StepGraph
from keras_fivo.backend.tensorflow.totals import Running, terms_of


class Loops:
    """Runs a traced step forward, and its gradient backward.

    The forward loop keeps the tensors of each step that the gradient reads;
    the backward loop reads them and computes nothing twice. Gradients of
    weights are formed after it where `terms_of` knows how.

    Args:
        step: As from `trace_step`.
        num_steps: Number of steps, an int or a scalar tensor.
        reverse: Whether the last step comes first.
    """

    def __init__(self, step: StepGraph, num_steps: Any, reverse: bool) -> None:
        self.step = step
        self.num_steps = num_steps
        self.reverse = reverse
        self.kept: list = []
        read: list = []
        if step.gradient is not None:
            read = self._plan_backward()
        self.forward_operations = step.operations(
            [*step.new_carry, *step.outputs, *self.kept], Kind.FORWARD
        )
        self.invariant_operations = step.operations(
            [*step.shared, *(x for x in read if self._is_invariant(x))],
            Kind.INVARIANT,
        )

    def _plan_backward(self) -> list:
        """Decides what runs backward; returns what that and the end read."""
        step, gradient = self.step, self.step.gradient
        self.terms = terms_of(gradient.of_shared)
        terms = [x for group in self.terms for x in group or ()]
        self.running = {
            term.tensor.name: (term.tensor, shared)
            for group, shared in zip(self.terms, step.shared, strict=True)
            for term in group or ()
            if isinstance(term, Running)
        }
        stacked = [x for term in terms for x in term.stacked]
        targets = [
            x
            for x in (
                *gradient.of_carry,
                *gradient.of_inputs,
                *stacked,
                *(x for x, _ in self.running.values()),
            )
            if x is not None
        ]
        self.backward_operations = step.operations(targets, Kind.BACKWARD)
        read = [x for op in self.backward_operations for x in op.inputs]
        read += targets
        inputs = {x.name for x in step.inputs}
        varying = _unique(x for x in read if step.is_kind(x, Kind.FORWARD))
        self.kept = [x for x in varying if x.name not in inputs]
        self.read_inputs = [x for x in varying if x.name in inputs]
        emitted = [*(x for x in gradient.of_inputs if x is not None), *stacked]
        known = {x.name for x in varying}
        self.emitted = _unique(x for x in emitted if x.name not in known)
        self.read_names = {x.name for x in read}
        # What is formed after the loop may read invariants of its own.
        formed = [x for x in gradient.of_values if x is not None]
        after = step.operations(formed, Kind.AFTER)
        return [*read, *formed, *(x for op in after for x in op.inputs)]

    def _is_invariant(self, tensor: Any) -> bool:
        return self.step.is_kind(tensor, Kind.INVARIANT)

    def invariants(self, values: list) -> dict:
        """What is the same in all steps, by name, from what the step reads."""
        known = {
            x.name: value
            for x, value in zip(self.step.values, values, strict=True)
        }
        copy_operations(self.invariant_operations, known)
        # Each loop gets constants of its own, which XLA wants to see.
        return {
            name: value
            for name, value in known.items()
            if self.step.kinds[name.rpartition(":")[0]] is not Kind.CONSTANT
        }

    def forward(
        self, carry: list, inputs: dict, invariants: dict
    ) -> tuple[list, dict]:
        """Runs all steps.

        Args:
            carry: Tensors.
            inputs: `TensorArray` by the name of the input.
            invariants: As from `invariants`.

        Returns:
            The last carry, and `TensorArray` of outputs and what is kept by
            name.
        """
        step = self.step
        written = _unique([*step.outputs, *self.kept])

        def body(time: Any, carry: list) -> tuple[list, list]:
            known = dict(invariants)
            known.update(zip((x.name for x in step.carry), carry, strict=True))
            _read(known, step.inputs, inputs, time)
            copy_operations(self.forward_operations, known)
            return (
                [known[x.name] for x in step.new_carry],
                [known[x.name] for x in written],
            )

        return self._loop(body, carry, written, self.reverse)

    def backward(
        self, carry: list, arrays: dict, invariants: dict
    ) -> tuple[list, dict, dict]:
        """Runs the gradient of all steps, the last step first.

        Args:
            carry: Gradients of the last carry; None where not floating.
            arrays: `TensorArray` by name: inputs, what was kept, and
                gradients of outputs.
            invariants: As from `invariants`.

        Returns:
            The gradient of the first carry, `TensorArray` of what is
            emitted by name, and sums over steps by name.
        """
        gradient = self.step.gradient
        pairs = [
            (after, before)
            for after, before in zip(
                gradient.of_new_carry, gradient.of_carry, strict=True
            )
            if after is not None
        ]
        read = [*self.read_inputs, *self.kept]
        read += [x for x in gradient.of_outputs if x is not None]
        read = [x for x in read if x.name in self.read_names]
        totals = [x for x, _ in self.running.values()]
        starts = [
            tf.zeros_like(invariants[shared.name])
            for _, shared in self.running.values()
        ]

        def body(time: Any, state: list) -> tuple[list, list]:
            known = dict(invariants)
            _read(known, read, arrays, time)
            given = state[: len(pairs)]
            for (after, _), value in zip(pairs, given, strict=True):
                known[after.name] = value
            copy_operations(self.backward_operations, known)
            new = [
                tf.zeros_like(value) if before is None else known[before.name]
                for (_, before), value in zip(pairs, given, strict=True)
            ]
            new += [
                total + known[x.name]
                for total, x in zip(state[len(pairs) :], totals, strict=True)
            ]
            return new, [known[x.name] for x in self.emitted]

        start = [x for x in carry if x is not None] + starts
        last, emitted = self._loop(body, start, self.emitted, not self.reverse)
        found = iter(last)
        first = [None if x is None else next(found) for x in carry]
        names = [x.name for x in totals]
        return first, emitted, dict(zip(names, found, strict=True))

    def _loop(
        self, body: Callable, state: list, written: list, reverse: bool
    ) -> tuple[list, dict]:
        """Runs `body(time, state) -> (state, values to write)`."""
        shapes = [x.shape for x in state]

        def run(index: Any, state: list, arrays: list) -> Any:
            time = self.num_steps - 1 - index if reverse else index
            new, values = body(time, state)
            for value, shape in zip(new, shapes, strict=True):
                value.set_shape(shape)
            arrays = [
                array.write(time, value)
                for array, value in zip(arrays, values, strict=True)
            ]
            return index + 1, new, arrays

        arrays = [self.array(x) for x in written]
        _, state, arrays = tf.while_loop(
            lambda index, *_: index < self.num_steps,
            run,
            (tf.constant(0), state, arrays),
            maximum_iterations=self.num_steps,
            parallel_iterations=1,
        )
        names = [x.name for x in written]
        return state, dict(zip(names, arrays, strict=True))

    def array(self, like: Any) -> Any:
        """An empty `TensorArray` for the values of a tensor in all steps."""
        return tf.TensorArray(
            like.dtype, size=self.num_steps, element_shape=like.shape
        )

    def after(self, arrays: dict, sums: dict, invariants: dict) -> list:
        """Gradients of what the step reads from outside, or None.

        Args:
            arrays: `TensorArray` of all that `terms_of` wants stacked.
            sums: Sums over steps by name.
            invariants: As from `invariants`.
        """
        gradient = self.step.gradient
        names = _unique(
            x for group in self.terms for t in group or () for x in t.stacked
        )
        stacks = {x.name: arrays[x.name].stack() for x in names}
        known = dict(invariants)
        for group, total in zip(self.terms, gradient.total, strict=True):
            if group is not None:
                known[total.name] = tf.add_n(
                    [term.total({**stacks, **sums}) for term in group]
                )
        targets = [x for x in gradient.of_values if x is not None]
        copy_operations(self.step.operations(targets, Kind.AFTER), known)
        return [
            None if x is None else known[x.name] for x in gradient.of_values
        ]


def _read(known: dict, tensors: list, arrays: dict, time: Any) -> None:
    for x in tensors:
        value = arrays[x.name].read(time)
        value.set_shape(x.shape)
        known[x.name] = value


def _unique(tensors: Any) -> list:
    return [*{x.name: x for x in tensors}.values()]
