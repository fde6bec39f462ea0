"""One step of a scan, and its gradient, as a graph."""

import enum
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from keras_fivo.backend.tensorflow.copying import can_be_copied, needed
from keras_fivo.types import Nested


class Kind(enum.IntEnum):
    """When an operation runs."""

    CONSTANT = 0
    """Wherever it is needed: it reads nothing."""
    INVARIANT = 1
    """Once, before the loop: it reads weights alone."""
    FORWARD = 2
    """In each step."""
    BACKWARD = 3
    """In each step of the backward loop."""
    AFTER = 4
    """Once, after the backward loop."""


class StepGraph:
    """A traced step. Lists hold tensors of its graph.

    Attributes:
        structure: The outputs of a step, to pack them again.
        carry: Placeholders of the carry before the step.
        inputs: Placeholders of one step's inputs.
        new_carry: The carry after the step.
        outputs: The outputs of the step.
        values: What the step reads from outside: placeholders, and reads of
            variables.
        outer: The tensors outside, or handles of variables, of `values`.
        shared: Tensors that are the same in all steps and that work in the
            loop reads: mostly weights, or slices of them.
        gradient: A `StepGradient`, or None.
    """

    def __init__(self, graph: Any, carry: Nested, inputs: Nested) -> None:
        self.graph = graph
        self.kinds: dict[str, Kind] = {}
        self.carry = tf.nest.flatten(carry)
        self.inputs = tf.nest.flatten(inputs)
        self.gradient: Any = None
        self.copyable = True

    def run(self, step: Callable, carry: Nested, inputs: Nested) -> None:
        """Adds the step to the graph."""
        new_carry, outputs = step(carry, inputs)
        tf.nest.assert_same_structure(carry, new_carry)
        self.structure = outputs
        self.new_carry, self.outputs = (
            [tf.convert_to_tensor(x) for x in tf.nest.flatten(tree)]
            for tree in (new_carry, outputs)
        )
        self._sort()
        self.values, self.outer = self._values()
        ends = [*self.new_carry, *self.outputs]
        read = [
            tensor
            for operation in self.graph.get_operations()
            if self.kinds[operation.name] is Kind.FORWARD
            for tensor in operation.inputs
        ]
        self.shared = [
            *{
                tensor.name: tensor
                for tensor in [*read, *ends]
                if self.kinds[tensor.op.name] is Kind.INVARIANT
            }.values()
        ]

    def _sort(self) -> None:
        variant = {x.op.name for x in (*self.carry, *self.inputs)}
        captured = {inner.name for _, inner in self.graph.captures}
        for operation in self.graph.get_operations():
            if operation.type == "Placeholder":
                kind = Kind.INVARIANT
                if operation.name in variant:
                    kind = Kind.FORWARD
            elif operation.type == "ReadVariableOp":
                kind = Kind.INVARIANT
                self.copyable &= operation.inputs[0].name in captured
            else:
                kind = self.kind_of_inputs(operation)
                self.copyable &= can_be_copied(operation)
            self.kinds[operation.name] = kind

    def kind_of_inputs(self, operation: Any) -> Kind:
        """The latest kind among what an operation reads."""
        kinds = (self.kinds[tensor.op.name] for tensor in operation.inputs)
        return max(kinds, default=Kind.CONSTANT)

    def _values(self) -> tuple[list, list]:
        captured = {inner.name: outer for outer, inner in self.graph.captures}
        values, outer = [], []
        for operation in self.graph.get_operations():
            if operation.type not in ("Placeholder", "ReadVariableOp"):
                continue
            value = operation.outputs[0]
            source = operation.inputs[0] if operation.inputs else value
            if source.name in captured and value.dtype != tf.resource:
                values.append(value)
                outer.append(captured[source.name])
        return values, outer

    def operations(self, targets: Iterable, kind: Kind) -> list:
        """The operations of one kind, and constants, that targets need."""
        return needed(
            self.graph.get_operations(),
            targets,
            lambda op: self.kinds[op.name] in (Kind.CONSTANT, kind),
        )

    def is_kind(self, tensor: Any, kind: Kind) -> bool:
        """Whether a tensor is computed by an operation of that kind."""
        return self.kinds[tensor.op.name] is kind


class StepGradient:
    """Gradients of a step. Lists hold tensors of its graph, or None.

    Attributes:
        of_new_carry: Placeholders.
        of_outputs: Placeholders.
        of_carry: Gradients of the carry.
        of_inputs: Gradients of the inputs.
        of_shared: Gradients of `shared`, of one step.
        total: Placeholders of the sums of those over steps.
        of_values: Gradients of `values` that follow from `total`.
    """

    def __init__(self, step: StepGraph) -> None:
        self._kinds = step.kinds
        self._step = step
        self.of_new_carry = self._placeholders(step.new_carry, Kind.BACKWARD)
        self.of_outputs = self._placeholders(step.outputs, Kind.BACKWARD)
        sources = (step.carry, step.inputs, step.shared)
        found = iter(
            _gradients(
                [*step.new_carry, *step.outputs],
                [x for group in sources for x in group],
                [*self.of_new_carry, *self.of_outputs],
                step.shared,
            )
        )
        self.of_carry, self.of_inputs, self.of_shared = (
            [next(found) for _ in group] for group in sources
        )
        self._sort_new(Kind.BACKWARD)
        self.total = self._placeholders(
            [
                None if gradient is None else x
                for x, gradient in zip(step.shared, self.of_shared, strict=True)
            ],
            Kind.AFTER,
        )
        self.of_values = _gradients(step.shared, step.values, self.total)
        self._sort_new(Kind.AFTER)

    def _placeholders(self, tensors: list, kind: Kind) -> list:
        placeholders = []
        for x in tensors:
            seed = None
            if x is not None and x.dtype.is_floating:
                seed = tf.compat.v1.placeholder(x.dtype, x.shape)
                self._kinds[seed.op.name] = kind
            placeholders.append(seed)
        return placeholders

    def _sort_new(self, latest: Kind) -> None:
        """Whatever is new and varies from step to step runs backward."""
        for operation in self._step.graph.get_operations():
            if operation.name in self._kinds:
                continue
            kind = self._step.kind_of_inputs(operation)
            if kind is Kind.FORWARD:
                kind = latest
            self._kinds[operation.name] = kind
            self._step.copyable &= can_be_copied(operation)


def _gradients(ys: list, xs: list, seeds: list, stop: Any = None) -> list:
    pairs = [
        (y, seed) for y, seed in zip(ys, seeds, strict=True) if seed is not None
    ]
    wanted = [x for x in xs if x.dtype.is_floating]
    if not pairs or not wanted:
        return [None] * len(xs)
    found = iter(
        tf.gradients(
            [y for y, _ in pairs],
            wanted,
            grad_ys=[seed for _, seed in pairs],
            stop_gradients=stop,
        )
    )
    gradients = [next(found) if x.dtype.is_floating else None for x in xs]
    return [None if x is None else tf.convert_to_tensor(x) for x in gradients]


def trace_step(
    step: Callable, carry: Nested, inputs: Nested, differentiate: bool
) -> StepGraph | None:
    """Traces a step, and its gradient.

    Args:
        step: As for `scan`.
        carry: Nested tensors.
        inputs: Nested tensors, with time as their first axis.
        differentiate: Whether to trace the gradient.

    Returns:
        None where the step has side effects, operations with functions
        inside, such as loops, or no gradient.
    """
    traced: list[StepGraph] = []

    def run(carry: Nested, inputs: Nested) -> None:
        graph = tf.compat.v1.get_default_graph()
        result = StepGraph(graph, carry, inputs)
        result.run(step, carry, inputs)
        if result.copyable and differentiate:
            result.gradient = StepGradient(result)
        traced.append(result)

    specifications = (
        tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), carry),
        tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs
        ),
    )
    try:
        tf.function(run, autograph=False).get_concrete_function(*specifications)
    except LookupError:
        return None
    return traced[-1] if traced[-1].copyable else None
