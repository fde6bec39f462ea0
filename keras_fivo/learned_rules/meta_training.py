"""Training a rule: truncated unrolls of several base models at once."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_positive
from keras_fivo.learned_rules.base import BaseWeights, initial_base, run_base
from keras_fivo.learned_rules.drawn_shapes import unroll_drawn
from keras_fivo.learned_rules.evolution import Perturbations
from keras_fivo.learned_rules.probes import RidgeProbe
from keras_fivo.learned_rules.rule import LocalUpdateRule
from keras_fivo.learned_rules.task_groups import (
    TaskGroup,
    check_batches,
    checked_groups,
)
from keras_fivo.lookup import BuiltByOwner, typed
from keras_fivo.types import Tensor

ESTIMATORS = ("backpropagation", "evolution")


@keras.saving.register_keras_serializable(package="keras_fivo")
class MetaTraining(BuiltByOwner, backend.Trainer, keras.Model):
    """Trains a rule by what its base models come to be good for.

    A step of `fit` goes on with the training of every base model for some
    updates, the truncated unroll, and moves the weights of the rule against
    the gradient of the mean of the meta-objectives after each of these
    updates. The base models are variables: they go on in the next step,
    unless the batch says that they start anew.

    Backpropagation takes the gradient through the unroll: exact within it,
    blind to what comes later, so biased. It keeps the base models between
    updates and computes again what else it needs of an update; on PyTorch it
    does so with `run_eagerly=True`, and keeps everything otherwise.
    Persistent evolution strategies run each base model twice, under opposite
    perturbations of the rule that persist in the base models: unbiased for
    the Gaussian-smoothed objective over whole lives, and noisier. Their
    batches cost no backward pass.

    Batches are tuples with one dict for each group: `inputs` `(updates, tasks,
    batch, inputs)`; `support` and `query` `(tasks, examples, inputs)`, with
    `support_targets` and `query_targets` `(tasks, examples, targets)`; and
    `restart` `(tasks,)`, whether a task starts with a base model that has
    learned nothing. The number of updates may differ from batch to batch;
    each is compiled once. `TaskParallel` spreads tasks over devices.

    The tasks of a group with several shapes have one of them in each life:
    `shape` `(tasks,)`, whole numbers, is its place among the group's, the same
    until the next restart. They learn one after another; on TensorFlow, in a
    graph without XLA.

    Args:
        rule: A `LocalUpdateRule`.
        groups: One or more of `TaskGroup`, or of its three fields.
        activation: Activation of the base models, or its name.
        penalty: Penalty of the ridge regression in the meta-objective.
        estimator: `"backpropagation"` or `"evolution"`.
        deviation: Standard deviation of perturbations of the rule's weights,
            for `"evolution"`.
        seed: Seed of new base models and of perturbations.

    Reference:
        Vicol et al., 2021, "Unbiased Gradient Estimation in Unrolled
        Computation Graphs with Persistent Evolution Strategies".
    """

    def __init__(
        self,
        rule: LocalUpdateRule,
        groups: Sequence[Any],
        activation: Any = "relu",
        penalty: float = 0.1,
        estimator: str = "backpropagation",
        deviation: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.rule = typed(rule, LocalUpdateRule, "rule", absent=())
        if estimator not in ESTIMATORS:
            raise ValueError(
                f"`estimator` must be one of {ESTIMATORS}. "
                f"Received: estimator={estimator!r}"
            )
        strategy = getattr(self, "distribute_strategy", None)
        replicas = getattr(strategy, "num_replicas_in_sync", 1)
        if replicas > 1:
            raise ValueError(
                "Replicas of a strategy of TensorFlow would split batches "
                f"along the updates. Received: {replicas} replicas. Make the "
                "model outside of the strategy's scope, or use "
                "`TaskParallel`, on JAX."
            )
        self.groups = checked_groups(groups)
        if any(group.draws for group in self.groups):
            self.supports_jit = backend.COMPILES_BRANCHES
        for group in self.groups:
            for units in group.shapes:
                self.rule.check_embedding(units[-1])
        self.activation = keras.activations.get(activation)
        self.probe = RidgeProbe(penalty)
        self.estimator = estimator
        self.deviation = check_positive("deviation", deviation)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._totals = [keras.metrics.Mean(n) for n in ("loss", "accuracy")]
        self.bases = [self._add_base(g, i) for i, g in enumerate(self.groups)]
        self.accumulated = [
            self._add_accumulators(g, i) for i, g in enumerate(self.groups)
        ]
        self.built = True

    @property
    def evolves(self) -> bool:
        """Whether gradients are those of evolution strategies."""
        return self.estimator == "evolution"

    def _add_base(self, group: TaskGroup, number: int) -> list:
        first = keras.tree.flatten(self._fresh(group))
        return [
            self.add_weight(
                shape=value.shape,
                initializer=lambda *_, value=value, **__: value,
                trainable=False,
                name=f"base_{number}_{i}",
            )
            for i, value in enumerate(first)
        ]

    def _add_accumulators(self, group: TaskGroup, number: int) -> list:
        """Creates sums of the perturbations in the life of each base model."""
        return [
            self.add_weight(
                shape=(group.num_tasks, *weight.shape),
                initializer="zeros",
                trainable=False,
                name=f"accumulated_{number}_{i}",
            )
            for i, weight in enumerate(self.rule.trainable_variables)
            if self.evolves
        ]

    def _fresh(self, group: TaskGroup) -> list[BaseWeights]:
        """Draws base models of each shape; two under evolution strategies."""
        sizes = self.seed_generator, group.num_tasks
        bases = [initial_base(group.input_dim, s, *sizes) for s in group.shapes]
        if not self.evolves:
            return bases
        return keras.tree.map_structure(
            lambda x: ops.concatenate([x, x], 0), bases
        )

    def compute_losses(self, data: Any, training: bool) -> tuple[dict, dict]:
        """Computes the meta-objective of a batch, and sums to report.

        Args:
            data: A batch, as Keras' trainers pass it.
            training: Whether base models go on for good.
        """
        batches, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        check_batches(batches, self.groups)
        total, right = 0.0, 0.0
        for number, batch in enumerate(batches):
            new_bases, losses, accuracy = self._learn(number, batch, training)
            total = total + ops.sum(losses)
            right = right + ops.sum(accuracy)
            if training:
                _assign(self.bases[number], new_bases)
        count = sum(group.num_tasks for group in self.groups)
        report = {"accuracy": right / count, "counted": ops.ones(())}
        return {"loss": total / count}, report

    def _learn(self, number: int, batch: dict, training: bool) -> tuple:
        """Trains base models of a group; gives losses and accuracies too."""
        group = self.groups[number]
        restart = batch["restart"]
        unroll = self._unroll_drawn if group.draws else self._unroll_one
        if not (self.evolves and training):
            return unroll(self._current(number, restart), batch)
        perturbations = Perturbations(
            self.rule.trainable_variables, self.deviation, self.seed_generator
        )
        sums = perturbations.accumulate(self.accumulated[number], restart)
        _assign(self.accumulated[number], sums)
        bases = self._current(number, ops.concatenate([restart, restart], 0))
        halves = []
        for sign in (1, -1):
            part = slice(None, group.num_tasks)
            if sign < 0:
                part = slice(group.num_tasks, None)
            own = keras.tree.map_structure(lambda x, part=part: x[part], bases)
            with perturbations.applied(sign):
                halves.append(unroll(own, batch))
        (up, losses_up, right), (down, losses_down, _) = halves
        new_bases = keras.tree.map_structure(
            lambda a, b: ops.concatenate([a, b], 0), up, down
        )
        losses = perturbations.surrogate(sums, losses_up, losses_down)
        return new_bases, losses, right

    def _current(self, number: int, restart: Tensor) -> list[BaseWeights]:
        """Returns base models of each shape, fresh where they start anew."""
        fresh = self._fresh(self.groups[number])
        kept = keras.tree.pack_sequence_as(
            fresh, [v.value for v in self.bases[number]]
        )
        return keras.tree.map_structure(
            lambda new, old: choose(restart, new, old), fresh, kept
        )

    def _unroll_one(self, bases: list[BaseWeights], batch: dict) -> tuple:
        """Unrolls base models of the only shape; see `_unroll`."""
        base, losses, accuracies = self._unroll(bases[0], batch)
        return [base], losses, accuracies

    def _unroll_drawn(self, bases: list[BaseWeights], batch: dict) -> tuple:
        """Unrolls base models, each in its own shape; see `_unroll`."""
        return unroll_drawn(self._unroll, bases, batch)

    def _unroll(self, base: BaseWeights, batch: dict) -> tuple:
        """Updates base models, and tells what they come to be good for.

        Returns:
            The base models after the updates; means over the updates of the
            meta-objective and of the accuracy, `(tasks,)`.
        """
        probed = ops.concatenate([batch["support"], batch["query"]], axis=1)
        count = batch["support"].shape[1]
        query = batch["query_targets"]

        def step(base: BaseWeights, inputs: Tensor) -> tuple:
            base = self.rule.step(base, inputs, self.activation)
            features = run_base(base, probed, self.activation)[0][-1]
            loss, predicted = self.probe.objective(
                (features[:, :count], batch["support_targets"]),
                (features[:, count:], query),
            )
            right = ops.argmax(predicted, -1) == ops.argmax(query, -1)
            return base, (loss, ops.mean(ops.cast(right, "float32"), -1))

        # Evolution strategies take no gradient through it.
        if not self.evolves:
            step = backend.recomputed(step, self.rule.weights)
        base, (losses, accuracies) = backend.scan(step, base, batch["inputs"])
        return base, ops.mean(losses, 0), ops.mean(accuracies, 0)

    def loss_variables(self, name: str) -> list:
        """Returns the weights of the rule."""
        return self.trainable_variables

    @property
    def metrics(self) -> list:
        """The mean meta-objective, and accuracy of the query examples."""
        return self._totals

    def update_metrics(
        self, losses: dict, report: dict, applied: Tensor | None = None
    ) -> dict:
        """Adds a batch to the metrics, if finite, and returns their values."""
        finite = ops.isfinite(losses["loss"])
        values = losses["loss"], report["accuracy"]
        for total, value in zip(self._totals, values, strict=True):
            total.update_state(
                ops.where(finite, value, 0.0), ops.cast(finite, "float32")
            )
        return self.get_metrics_result()

    def save_own_variables(self, store: Any) -> None:
        """Saves base models, and where the noise has come to."""
        super().save_own_variables(store)
        state = ops.convert_to_numpy(self.seed_generator.state)
        store["seed_generator"] = state

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved."""
        for i, variable in enumerate(self._own_variables()):
            variable.assign(store[str(i)])
        self.seed_generator.state.assign(store["seed_generator"])

    def _own_variables(self) -> list:
        return [v for group in (*self.bases, *self.accumulated) for v in group]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "rule": serialize(self.rule),
            "groups": [list(group) for group in self.groups],
            "activation": keras.activations.serialize(self.activation),
            "penalty": self.probe.penalty,
            "estimator": self.estimator,
            "deviation": self.deviation,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def choose(condition: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Takes entries along the first axis of one tensor or of another.

    Args:
        condition: `(entries,)`, bool.
        new: `(entries, ...)`, taken where the condition holds.
        old: `(entries, ...)`, taken elsewhere.
    """
    wide = ops.reshape(condition, (-1, *[1] * (len(new.shape) - 1)))
    return ops.where(wide, new, old)


def _assign(variables: list, values: Any) -> None:
    for variable, value in zip(
        variables, keras.tree.flatten(values), strict=True
    ):
        variable.assign(ops.stop_gradient(value))
