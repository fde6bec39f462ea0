"""The scan and the training step on TensorFlow."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_fivo.types import Nested


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`.

    A `tf.while_loop` with one `TensorArray` per input and output, which XLA
    can compile and differentiate where the number of steps is static.
    """
    leaves = [tf.convert_to_tensor(x) for x in tf.nest.flatten(inputs)]
    num_steps = leaves[0].shape[0]
    if num_steps is None:
        num_steps = tf.shape(leaves[0])[0]
    arrays = [
        tf.TensorArray(
            x.dtype, size=num_steps, element_shape=x.shape[1:]
        ).unstack(x)
        for x in leaves
    ]
    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)

    def read(time: Any) -> Nested:
        slices = []
        for array, leaf in zip(arrays, leaves, strict=True):
            value = array.read(time)
            value.set_shape(leaf.shape[1:])
            slices.append(value)
        return tf.nest.pack_sequence_as(inputs, slices)

    specification = _output_specification(step, carry, leaves, inputs)
    writers = [
        tf.TensorArray(x.dtype, size=num_steps, element_shape=x.shape)
        for x in tf.nest.flatten(specification)
    ]

    def body(index: Any, carry: Nested, writers: list) -> Any:
        time = num_steps - 1 - index if reverse else index
        new_carry, outputs = step(carry, read(time))
        tf.nest.assert_same_structure(carry, new_carry)
        outputs = tf.nest.flatten(outputs)
        writers = [
            writer.write(time, value)
            for writer, value in zip(writers, outputs, strict=True)
        ]
        return index + 1, new_carry, writers

    _, carry, writers = tf.while_loop(
        lambda index, *_: index < num_steps,
        body,
        (tf.constant(0), carry, writers),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    stacked = [writer.stack() for writer in writers]
    return carry, tf.nest.pack_sequence_as(specification, stacked)


def _output_specification(
    step: Callable, carry: Nested, leaves: list, inputs: Nested
) -> Nested:
    """Shapes and dtypes of the outputs of a step, by tracing it once."""
    specs = tf.nest.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype), carry
    )
    input_specs = tf.nest.pack_sequence_as(
        inputs, [tf.TensorSpec(x.shape[1:], x.dtype) for x in leaves]
    )
    traced = tf.function(
        lambda a, b: step(a, b)[1], autograph=False
    ).get_concrete_function(specs, input_specs)
    return traced.structured_outputs


class Trainer:
    """`train_step` and `test_step` of a model that computes named losses."""

    def train_step(self: Any, data: Any) -> dict:
        """One update of weights, optimizer, seed and metrics."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        with tf.GradientTape(persistent=True) as tape:
            losses, report = self.compute_losses(data, training=True)
            scaled = {
                name: self.optimizer.scale_loss(loss / replicas)
                for name, loss in losses.items()
            }
        variables = self.trainable_variables
        gradients: list = [None] * len(variables)
        for name, loss in scaled.items():
            allowed = {id(v) for v in self.loss_variables(name)}
            own = [v for v in variables if id(v) in allowed]
            found = iter(tape.gradient(loss, own))
            for i, variable in enumerate(variables):
                if id(variable) in allowed:
                    gradients[i] = _add(gradients[i], next(found))
        del tape
        finite = _all_finite([*losses.values(), *gradients])
        self._apply_if_finite(finite, gradients, variables)
        return self.update_metrics(losses, report, finite)

    def _apply_if_finite(
        self: Any, finite: Any, gradients: list, variables: list
    ) -> None:
        pairs = list(zip(gradients, variables, strict=True))
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(variables)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            self.optimizer.apply_gradients(pairs)
            return

        kept = [tf.identity(v.value) for v in variables]
        state = [tf.identity(v.value) for v in self.optimizer.variables]
        self.optimizer.apply_gradients(pairs)
        for variable, old in zip(
            [*variables, *self.optimizer.variables],
            [*kept, *state],
            strict=True,
        ):
            variable.assign(tf.where(finite, variable.value, old))

    def test_step(self: Any, data: Any) -> dict:
        """The losses and metrics of one batch; moves nothing but the seed."""
        losses, report = self.compute_losses(data, training=False)
        finite = _all_finite(list(losses.values()))
        return self.update_metrics(losses, report, finite)


def _add(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _all_finite(tensors: list) -> Any:
    checks = [
        tf.reduce_all(tf.math.is_finite(x)) for x in tensors if x is not None
    ]
    return tf.reduce_all(tf.stack(checks))


def compiled(function: Callable, model: Any) -> Callable:
    """A compiled function of nested tensors that reads the model's weights."""
    graph = tf.function(function, autograph=False)

    def call(*arguments: Nested) -> Nested:
        tensors = tf.nest.map_structure(
            lambda x: None if x is None else tf.convert_to_tensor(x), arguments
        )
        return graph(*tensors)

    return call
