"""The training step on JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras

from keras_fivo.backend.guard import all_finite
from keras_fivo.backend.products import without_gradients
from keras_fivo.types import Nested


def _choose(condition: Any, new: Nested, old: Nested) -> Nested:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


class Trainer:
    """`train_step` and `test_step` of a model that computes named losses."""

    def train_step(self: Any, state: Any, data: Any) -> Any:
        """Updates weights, optimizer, seed and metrics."""
        trainable, non_trainable, optimizer_variables, metrics = state

        def losses_and_state(trainable: list) -> Any:
            mapping = _pairs(self.trainable_variables, trainable)
            mapping += _pairs(self.non_trainable_variables, non_trainable)
            mapping += _pairs(self.optimizer.variables, optimizer_variables)
            with keras.StatelessScope(
                state_mapping=mapping, collect_losses=True
            ) as scope:
                losses, report = self.compute_losses(data, training=True)
                scaled = {
                    name: self.optimizer.scale_loss(loss)
                    for name, loss in losses.items()
                }
            updated = _current(scope, self.non_trainable_variables)
            return scaled, (losses, report, updated)

        scaled, pull_back, (losses, report, non_trainable) = jax.vjp(
            losses_and_state, trainable, has_aux=True
        )
        gradients = self._sum_gradients(scaled, pull_back)
        counted = report["counted"] > 0
        applied = all_finite(losses.values(), gradients) & counted
        new_trainable, new_optimizer = self.optimizer.stateless_apply(
            optimizer_variables, gradients, trainable
        )
        # An optimizer that scales losses must see what is not finite.
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        kept = counted if scales else applied
        new_trainable = _choose(kept, new_trainable, trainable)
        new_optimizer = _choose(kept, new_optimizer, optimizer_variables)
        logs, metrics = self._stateless_logs(metrics, losses, report, applied)
        return logs, (new_trainable, non_trainable, new_optimizer, metrics)

    def test_step(self: Any, state: Any, data: Any) -> Any:
        """Returns losses and metrics of a batch; moves nothing but the seed."""
        trainable, non_trainable, metrics = state
        mapping = _pairs(self.trainable_variables, trainable)
        mapping += _pairs(self.non_trainable_variables, non_trainable)
        with (
            without_gradients(),
            keras.StatelessScope(
                state_mapping=mapping, collect_losses=True
            ) as scope,
        ):
            losses, report = self.compute_losses(data, training=False)
        non_trainable = _current(scope, self.non_trainable_variables)
        logs, metrics = self._stateless_logs(metrics, losses, report)
        return logs, (trainable, non_trainable, metrics)

    def _sum_gradients(self: Any, losses: dict, pull_back: Any) -> list:
        """Sums gradients: a loss moves what `loss_variables` names alone."""
        variables = self.trainable_variables
        totals = [jnp.zeros(v.shape, v.dtype) for v in variables]
        for name in losses:
            seeds = {
                other: jnp.asarray(other == name, loss.dtype)
                for other, loss in losses.items()
            }
            allowed = {id(v) for v in self.loss_variables(name)}
            (gradients,) = pull_back(seeds)
            totals = [
                total + gradient if id(variable) in allowed else total
                for variable, total, gradient in zip(
                    variables, totals, gradients, strict=True
                )
            ]
        return totals

    def _stateless_logs(
        self: Any,
        metrics: list,
        losses: dict,
        report: dict,
        applied: Any = True,
    ) -> Any:
        with keras.StatelessScope(
            state_mapping=_pairs(self.metrics_variables, metrics)
        ) as scope:
            logs = self.update_metrics(losses, report, applied)
        return logs, _current(scope, self.metrics_variables)


def _pairs(variables: list, values: list) -> list:
    return list(zip(variables, values, strict=True))


def _current(scope: Any, variables: list) -> list:
    values = (scope.get_current_value(v) for v in variables)
    return [
        v.value if value is None else value
        for v, value in zip(variables, values, strict=True)
    ]


def compiled(function: Callable, model: Any, moves: list) -> Callable:
    """Returns a compiled function that reads a model's variables.

    Its results are not meant to be differentiated.

    Args:
        function: Of nested tensors.
        model: Model whose variables it reads.
        moves: Variables that it changes, such as states of seed generators.
    """

    @jax.jit
    def run(values: list, arguments: tuple) -> Any:
        pairs = _pairs(model.variables, values)
        with without_gradients(), keras.StatelessScope(pairs) as scope:
            found = function(*arguments)
        return found, _current(scope, moves)

    def call(*arguments: Nested) -> Nested:
        found, moved = run([v.value for v in model.variables], arguments)
        for variable, value in _pairs(moves, moved):
            variable.assign(value)
        return found

    return call
