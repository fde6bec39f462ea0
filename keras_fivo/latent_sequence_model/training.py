"""What happens in a step of training, and Keras' verbs around it."""

from contextlib import nullcontext
from typing import Any

import numpy as np
from keras import ops

from keras_fivo.bounds import Bound
from keras_fivo.inputs import prepare_inputs
from keras_fivo.latent_sequence_model import checks
from keras_fivo.latent_sequence_model.seeds import spread_seed
from keras_fivo.latent_sequence_model.twist_training import (
    density_ratio_loss,
    draw_density_ratio_noise,
)
from keras_fivo.metrics import FilterMetrics, summarize
from keras_fivo.types import Tensor


class Training:
    """`fit`, `evaluate` and `predict`, and what they compute."""

    cell: Any
    bound: Bound
    evaluation_bound: Bound
    loss_per: str
    nan_is_missing: bool
    evaluation_seed: int | None
    seed_generator: Any
    evaluation_seed_generator: Any
    _report: FilterMetrics

    @property
    def metrics(self) -> list:
        """The metrics of `fit` and `evaluate`; see `FilterMetrics`."""
        return self._report.as_list()

    def compute_losses(
        self: Any, data: Any, training: bool
    ) -> tuple[dict, dict]:
        """Named losses of a batch, and sums to report; backend-free.

        Args:
            data: A batch, as Keras' trainers pass it.
            training: Whether this is a step of training.
        """
        x, sample_weight = checks.inputs_and_weights(data)
        # No `__call__` comes by here, which would clear them.
        self._clear_losses()
        result = self._run_bound(
            self.bound if training else self.evaluation_bound, x, training
        )
        loss, counted = self._loss_of(result, sample_weight, training)
        report = {**summarize(result), "counted": counted}
        total = sum((ops.cast(x, "float32") for x in self.losses), loss)
        self._clear_losses()
        if not training:
            total = ops.where(ops.isfinite(total), total, float("inf"))
        losses = {"loss": total}
        if training and self._twist_objective not in (None, "bound"):
            losses["twist_loss"] = self._twist_loss(x, loss)
        return losses, report

    def loss_variables(self: Any, name: str) -> list:
        """The variables that the loss of that name may move.

        `"loss"` moves all but those of a twist that has an objective of its
        own, `"twist_loss"`.
        """
        if self._twist_objective in (None, "bound"):
            return self.trainable_variables
        own = self.cell.twist.trainable_variables
        if name == "twist_loss":
            return own
        own_ids = {id(v) for v in own}
        return [v for v in self.trainable_variables if id(v) not in own_ids]

    @property
    def _twist_objective(self) -> str | None:
        twist = self.cell.twist
        return None if twist is None else twist.objective

    def _twist_loss(self, x: Any, loss: Tensor) -> Tensor:
        """What the weights of the twist alone minimise."""
        if self._twist_objective == "temporal_difference":
            # Of log r, the bound has the mean over the weighted particles of
            # a step less that over their descendants at the next resampling:
            # its descent lifts r where those are, and rests where they agree.
            return -loss
        inputs = prepare_inputs(x, self.cell.center, self.nan_is_missing)
        num_steps, batch = ops.shape(inputs["active"])
        noise = draw_density_ratio_noise(
            self.cell, num_steps, batch, self.seed_generator
        )
        return density_ratio_loss(self.cell, inputs, noise)

    def update_metrics(
        self: Any, losses: dict, report: dict, applied: Any = True
    ) -> dict:
        """Adds a batch to the metrics and returns their values."""
        self._report.update(losses, report, applied)
        unused = self._report.others.keys() - losses.keys()
        logs = self.get_metrics_result()
        return {k: x for k, x in logs.items() if k not in unused}

    def _run_bound(self: Any, bound: Bound, x: Any, training: bool) -> Any:
        return bound.run(
            self.cell,
            prepare_inputs(x, self.cell.center, self.nan_is_missing),
            seed=self.seed_generator
            if training
            else self.evaluation_seed_generator,
            training=training,
            keep_paths=False,
            keep_state=False,
        )

    def _loss_of(
        self, result: Any, sample_weight: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the sum of the weights of what it counts."""
        bounds = result.log_evidence
        lengths = ops.cast(result.lengths, "float32")
        counted = lengths > 0
        if training:
            # No weight brings the dead to life: their gradient is zero.
            counted = counted & (bounds != -float("inf"))
        weights = ops.cast(counted, "float32")
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, "float32")
        bounds = ops.where(weights > 0, bounds, ops.zeros_like(bounds))
        if self.loss_per == "step":
            bounds = bounds / ops.maximum(lengths, 1.0)
        total = ops.sum(weights)
        loss = -ops.sum(bounds * weights) / ops.where(total > 0, total, 1.0)
        return loss, total

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """The log evidence of each sequence, `(batch,)`, in nats."""
        inputs, _ = checks.inputs_and_weights(inputs)
        result = self._run_bound(self.evaluation_bound, inputs, training)
        return result.log_evidence

    # Keras' verbs, with checks before anything runs.

    def fit(self: Any, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Trains the model; see `keras.Model.fit`.

        Args:
            x: Observations, or a data set of them: `tf.data`, a `PyDataset`,
                a torch `DataLoader` or a generator, that yields inputs or
                `(inputs,)`. A dict of inputs may also hold `sample_weight`,
                `(batch,)`.
            y: Must be None: sequences are their own targets.
            **kwargs: As for `keras.Model.fit`. `sample_weight`, `(batch,)`,
                makes the loss a weighted mean, and changes no other metric.

        Raises:
            ValueError: For inputs that cannot be right, before any training.
        """
        checks.refuse_targets(y)
        checks.refuse_losses(self.get_compile_config())
        x = self._checked(x, kwargs.pop("sample_weight", None))
        validation = kwargs.get("validation_data")
        if validation is not None:
            weights = None
            if isinstance(validation, tuple):
                validation, weights = checks.inputs_and_weights(validation)
            kwargs["validation_data"] = (
                self._checked(validation, weights),
                None,
            )
        if self.optimizer is not None and not self.optimizer.built:
            # Copies of variables on several devices are made in a scope.
            strategy = getattr(self, "distribute_strategy", None)
            with strategy.scope() if strategy else nullcontext():
                self.optimizer.build(self.trainable_variables)
        return super().fit(x, **kwargs)  # type: ignore[misc]

    def evaluate(self: Any, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Metrics of the evaluation bound; see `keras.Model.evaluate`.

        The noise is that of `evaluation_seed` every time: evaluating twice
        gives the same numbers.
        """
        checks.refuse_targets(y)
        if "_use_cached_eval_dataset" not in kwargs:
            checks.refuse_losses(self.get_compile_config())
            x = self._checked(x, kwargs.pop("sample_weight", None))
        self._restart_evaluation_noise()
        return super().evaluate(x, **kwargs)  # type: ignore[misc]

    def predict(self: Any, x: Any, **kwargs: Any) -> np.ndarray:
        """Log evidence of each sequence; see `keras.Model.predict`."""
        x = self._checked(x)
        self._restart_evaluation_noise()
        return super().predict(x, **kwargs)  # type: ignore[misc]

    def _restart_evaluation_noise(self) -> None:
        seed = spread_seed(self.evaluation_seed, "evaluation")
        if seed is not None:
            self.evaluation_seed_generator.state.assign([seed, 0])

    def _checked(self: Any, data: Any, sample_weight: Any = None) -> Any:
        """Checks the data, or their first batch, and builds the model.

        Keras would drop weights that come without targets: they are returned
        among the inputs.
        """
        if not checks.is_batch(data):
            if sample_weight is not None:
                raise ValueError(
                    "A data set must yield its weights itself. Received: "
                    f"sample_weight with x of type {type(data).__name__}"
                )
            first, data = checks.first_batch(data)
            self._ensure_built(self._check(first))
            return data
        if sample_weight is None and isinstance(data, dict):
            data, sample_weight = checks.inputs_and_weights(data)
        arrays = self._check(data)
        self._ensure_built(arrays)
        if sample_weight is not None:
            weights = checks.check_sample_weight(sample_weight, arrays)
            arrays = {**arrays, "sample_weight": weights}
        return arrays

    def _check(self, data: Any) -> dict:
        return checks.check_inputs(data, self.cell, self.nan_is_missing)
