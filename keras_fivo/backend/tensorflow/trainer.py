"""The training step on TensorFlow."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_fivo.backend.guard import all_finite
from keras_fivo.backend.products import without_gradients
from keras_fivo.backend.tensorflow.noise import compiled_by_xla
from keras_fivo.types import Nested


class Trainer:
    """`train_step` and `test_step` of a model that computes named losses.

    Functions are traced for the shapes of batches, which Keras would hide:
    XLA needs all sizes, and without it a step takes a third longer where it
    must find them out. XLA compiles anew for each shape; without it the
    second shape is traced as any shape.
    """

    def train_step(self: Any, data: Any) -> dict:
        """Updates weights, optimizer, seed and metrics."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        variables = self.trainable_variables
        # Inside a persistent tape TensorFlow prepares second derivatives of a
        # loop, and takes twice as long to trace it.
        several = len(self.loss_variables("loss")) < len(variables)
        with tf.GradientTape(persistent=several) as tape:
            losses, report = self.compute_losses(data, training=True)
            scaled = {
                name: self.optimizer.scale_loss(loss / replicas)
                for name, loss in losses.items()
            }
        gradients: list = [None] * len(variables)
        for name, loss in scaled.items():
            allowed = {id(v) for v in self.loss_variables(name)}
            own = [v for v in variables if id(v) in allowed]
            found = iter(tape.gradient(loss, own) if own else ())
            for i, variable in enumerate(variables):
                if id(variable) in allowed:
                    gradients[i] = _add(gradients[i], next(found))
        del tape
        finite = all_finite(losses.values(), gradients)
        applied = self._apply(gradients, variables, finite, report["counted"])
        return self.update_metrics(losses, report, applied)

    def _apply(
        self: Any, gradients: list, variables: list, finite: Any, counted: Any
    ) -> Any:
        """Applies gradients, and returns whether they were.

        They are not where those of any replica are not finite, or none
        counted a sequence.
        """
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(variables)
        replicas = self.distribute_strategy.num_replicas_in_sync
        context = tf.distribute.get_replica_context()
        sums = tf.stack([tf.cast(~finite, "float32"), counted])
        if replicas > 1:
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        finite, counted = sums[0] == 0, sums[1] > 0
        moved = [x.value for x in (*variables, *self.optimizer.variables)]
        kept = [tf.identity(x) for x in moved]
        if variables:
            self.optimizer.apply_gradients(
                zip(gradients, variables, strict=True)
            )
        # An optimizer that scales losses must see what is not finite.
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        stays = counted if scales else finite & counted
        if replicas > 1:
            context.merge_call(_restore_replicas, args=(moved, kept, stays))
        else:
            for variable, old in zip(moved, kept, strict=True):
                _restore(variable, old, stays)
        return finite & counted

    def test_step(self: Any, data: Any) -> dict:
        """Returns losses and metrics of a batch; moves nothing but the seed."""
        with without_gradients():
            losses, report = self.compute_losses(data, training=False)
        return self.update_metrics(losses, report)

    def predict_step(self: Any, data: Any) -> Any:
        """Predicts; see `keras.Model.predict_step`."""
        with without_gradients(), compiled_by_xla(bool(self.jit_compile)):
            return super().predict_step(data)  # type: ignore[misc]

    def make_train_function(self: Any, force: bool = False) -> None:
        """Sets `train_function`; see `keras.Model`."""
        if self.train_function is None or force:
            self._maybe_symbolic_build()
            self.train_function = self._by_shape(self.train_step)
        if self.train_function is None:
            super().make_train_function(force)  # type: ignore[misc]

    def make_test_function(self: Any, force: bool = False) -> None:
        """Sets `test_function`; see `keras.Model`."""
        if self.test_function is None or force:
            self.test_function = self._by_shape(self.test_step)
        if self.test_function is None:
            super().make_test_function(force)  # type: ignore[misc]

    def _maybe_symbolic_build(
        self: Any, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Builds the optimizer: the model is built before Keras' loops begin.

        With replicas, Keras would look at the mean of a batch over them to
        build the model, and booleans have none.
        """
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def _by_shape(self: Any, step: Callable) -> Callable | None:
        """Returns a function of an iterator; None where Keras' own must serve.

        That is so where it runs eagerly, and with several replicas, which
        XLA cannot join.
        """
        strategy = self.distribute_strategy
        if self.run_eagerly or strategy.num_replicas_in_sync > 1:
            return None
        xla = bool(self.jit_compile)

        def run(data: Any) -> Any:
            with compiled_by_xla(xla):
                outputs = strategy.run(step, args=(_without_optionals(data),))
            return tf.nest.map_structure(
                lambda x: strategy.experimental_local_results(x)[0], outputs
            )

        graph = tf.function(
            run, jit_compile=xla, reduce_retracing=not xla, autograph=False
        )

        def function(iterator: Iterable) -> dict:
            iterator = iter(iterator)
            logs = graph(next(iterator))
            further = range(self.steps_per_execution - 1)
            for _, data in zip(further, iterator, strict=False):
                logs = graph(data)
            return logs

        return function


def _without_optionals(data: Nested) -> Nested:
    """Puts None for what a data set has no value for."""
    optional = tf.experimental.Optional
    return keras.tree.map_structure(
        lambda x: None if isinstance(x, optional) else x, data
    )


def _restore(variable: Any, old: Any, stays: Any) -> None:
    variable.assign(tf.where(stays, variable, old))


def _restore_replicas(
    strategy: Any, moved: list, kept: list, stays: Any
) -> None:
    for variable, old in zip(moved, kept, strict=True):
        strategy.extended.update(
            variable, _restore, args=(old, stays), group=False
        )


def _add(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def compiled(function: Callable, model: Any, moves: list) -> Callable:
    """Returns a compiled function that reads a model's variables.

    Its results cannot be differentiated.

    Args:
        function: Of nested tensors.
        model: Model whose variables it reads.
        moves: Variables that it changes.
    """

    def run(*arguments: Nested) -> Nested:
        with without_gradients():
            return function(*arguments)

    graph = tf.function(run, autograph=False)

    def call(*arguments: Nested) -> Nested:
        tensors = tf.nest.map_structure(
            lambda x: None if x is None else tf.convert_to_tensor(x), arguments
        )
        return graph(*tensors)

    return call
