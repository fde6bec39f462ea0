"""The scan on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_fivo.backend.tensorflow.loops import Loops
from keras_fivo.backend.tensorflow.modes import mode
from keras_fivo.backend.tensorflow.step_graph import StepGraph, trace_step
from keras_fivo.types import Nested


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`.

    In a graph, the step and its gradient are traced once and run in two
    loops; see `Loops`. Eagerly, and where the step has side effects or loops
    of its own, TensorFlow's own loop runs it, and differentiates it.
    """
    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if tf.executing_eagerly():
        return _plain_scan(step, carry, inputs, reverse)
    gradients = mode().gradients
    traced = trace_step(step, carry, inputs, gradients)
    if traced is None:
        return _plain_scan(step, carry, inputs, reverse)
    run = _differentiable if gradients else _forward_only
    loops = Loops(traced, _num_steps(inputs), reverse)
    last, outputs = run(
        loops,
        tf.nest.flatten(carry),
        tf.nest.flatten(inputs),
        _read_values(traced),
    )
    return (
        tf.nest.pack_sequence_as(carry, last),
        tf.nest.pack_sequence_as(traced.structure, outputs),
    )


def _num_steps(inputs: Nested) -> Any:
    first = tf.nest.flatten(inputs)[0]
    return first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]


def _read_values(traced: StepGraph) -> list:
    """What the step reads from outside; tapes see that variables are read."""
    variables = {id(x.handle): x for x in traced.graph.variables}
    values = []
    for value, outer in zip(traced.values, traced.outer, strict=True):
        if outer.dtype != tf.resource:
            values.append(outer)
        elif id(outer) in variables:
            values.append(variables[id(outer)].read_value())
        else:
            read = tf.raw_ops.ReadVariableOp
            values.append(read(resource=outer, dtype=value.dtype))
    return values


def _forward_only(
    loops: Loops, carry: list, inputs: list, values: list
) -> tuple[list, list]:
    step = loops.step
    last, arrays = loops.forward(
        carry, _as_arrays(loops, step.inputs, inputs), loops.invariants(values)
    )
    return last, [arrays[x.name].stack() for x in step.outputs]


def _differentiable(
    loops: Loops, carry: list, inputs: list, values: list
) -> tuple[list, list]:
    step = loops.step
    sizes = (len(carry), len(inputs))

    @tf.custom_gradient
    def run(*tensors: Any) -> tuple[list, Callable]:
        carry, inputs, values = _split(tensors, *sizes)
        given = _as_arrays(loops, step.inputs, inputs)
        invariants = loops.invariants(values)
        last, arrays = loops.forward(carry, given, invariants)

        def pull_back(*gradients: Any) -> list:
            return _pull_back(loops, gradients, {**given, **arrays}, invariants)

        outputs = [arrays[x.name].stack() for x in step.outputs]
        return [*last, *outputs], pull_back

    results = run(*carry, *inputs, *values)
    last, outputs, _ = _split(results, len(carry), len(step.outputs))
    return last, outputs


def _pull_back(
    loops: Loops, gradients: Any, arrays: dict, invariants: dict
) -> list:
    """Gradients of the first carry, the inputs and the outer values."""
    step, gradient = loops.step, loops.step.gradient
    last, outputs, _ = _split(gradients, len(step.carry), len(step.outputs))
    last = [
        None if placeholder is None else value
        for placeholder, value in zip(gradient.of_new_carry, last, strict=True)
    ]
    arrays = {**arrays, **_as_arrays(loops, gradient.of_outputs, outputs)}
    first, emitted, sums = loops.backward(last, arrays, invariants)
    arrays = {**arrays, **emitted}
    return [
        *first,
        *(
            None if x is None else arrays[x.name].stack()
            for x in gradient.of_inputs
        ),
        *loops.after(arrays, sums, invariants),
    ]


def _as_arrays(loops: Loops, tensors: list, values: Any) -> dict:
    return {
        x.name: loops.array(x).unstack(value)
        for x, value in zip(tensors, values, strict=True)
        if x is not None
    }


def _split(tensors: Any, first: int, second: int) -> tuple[list, list, list]:
    tensors = [*tensors]
    end = first + second
    return tensors[:first], tensors[first:end], tensors[end:]


def _plain_scan(
    step: Callable, carry: Nested, inputs: Nested, reverse: bool
) -> tuple[Nested, Nested]:
    """A `tf.while_loop` with one `TensorArray` per input and output."""
    num_steps = _num_steps(inputs)
    specification = _output_specification(step, carry, inputs)

    def array(like: Any) -> Any:
        return tf.TensorArray(
            like.dtype, size=num_steps, element_shape=like.shape
        )

    def body(index: Any, carry: Nested, writers: list) -> Any:
        time = num_steps - 1 - index if reverse else index
        # A read forgets the sizes that are known.
        now = tf.nest.map_structure(
            lambda reader, x: tf.ensure_shape(reader.read(time), x.shape[1:]),
            readers,
            inputs,
        )
        new_carry, outputs = step(carry, now)
        tf.nest.assert_same_structure(carry, new_carry)
        writers = [
            writer.write(time, value)
            for writer, value in zip(
                writers, tf.nest.flatten(outputs), strict=True
            )
        ]
        return index + 1, new_carry, writers

    readers = tf.nest.map_structure(
        lambda x: array(tf.TensorSpec(x.shape[1:], x.dtype)).unstack(x), inputs
    )
    _, carry, writers = tf.while_loop(
        lambda index, *_: index < num_steps,
        body,
        (
            tf.constant(0),
            carry,
            [array(x) for x in tf.nest.flatten(specification)],
        ),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    stacked = [writer.stack() for writer in writers]
    return carry, tf.nest.pack_sequence_as(specification, stacked)


def _output_specification(
    step: Callable, carry: Nested, inputs: Nested
) -> Nested:
    """Shapes and dtypes of the outputs of a step, by tracing it once."""
    specs = tf.nest.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype), carry
    )
    input_specs = tf.nest.map_structure(
        lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs
    )
    traced = tf.function(
        lambda a, b: step(a, b)[1], autograph=False
    ).get_concrete_function(specs, input_specs)
    return traced.structured_outputs
