"""Training and evaluation by the verbs of Keras."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.bounds import Bound
from keras_fivo.input_checks import as_arrays, check_inputs
from keras_fivo.inputs import as_dict, prepare_inputs
from keras_fivo.latent_sequence_model import batches
from keras_fivo.latent_sequence_model.base_model import BaseModel
from keras_fivo.latent_sequence_model.batches import (
    arguments_of,
    with_signature_of,
)
from keras_fivo.latent_sequence_model.callbacks import prepared_callbacks
from keras_fivo.latent_sequence_model.losses import (
    bound_loss,
    moved_variables,
    own_losses,
)
from keras_fivo.latent_sequence_model.static_features import (
    check_static,
    static_as_controls,
    static_dim,
)
from keras_fivo.metrics import summarize
from keras_fivo.noise import Noise, check_noise
from keras_fivo.seeds import spread_seed
from keras_fivo.smc import FilterResult
from keras_fivo.types import Tensor


class TrainedModel(BaseModel):
    """The part of a `LatentSequenceModel` that Keras trains."""

    def _checked_inputs(self, data: Any) -> dict:
        """Returns one batch of inputs as arrays, for which it is built."""
        arrays = as_arrays(data)
        dim = self._checked_static(arrays)
        check_inputs(arrays, self.cell, self.nan_is_missing, dim)
        if not self.built:
            self.build({key: x.shape for key, x in arrays.items()})
        return arrays

    def _checked_static(self, data: dict) -> int:
        """Checks what is static, and returns how many controls it makes."""
        expected = self.input_sizes.get("static", [0])[0]
        embedding = self.series_embedding
        check_static(data, embedding, expected if self.built else None)
        shapes = {name: x.shape for name, x in data.items()}
        return static_dim(shapes, embedding)

    def adapt(self, data: Any, scale: bool = True) -> None:
        """Takes locations and scales from the training data.

        Networks read centred and scaled observations, but for binaries and
        classes; the emission starts from the mean and the spread of the
        data, in their own units.

        Args:
            data: Observations or a data set of them.
            scale: Whether to take scales, or the mean alone: observations are
                then centred, and counts and binaries start from their means.
        """
        mean, deviation = batches.moments(
            map(self._checked_inputs, batches.batches(data)),
            self.nan_is_missing,
        )
        self.cell.adapt(mean, deviation if scale else None)

    # What a step of training computes.

    @property
    def metrics(self) -> list:
        """The metrics of `fit` and `evaluate`; see `FilterMetrics`."""
        return self._report.as_list()

    def compute_losses(self, data: Any, training: bool) -> tuple[dict, dict]:
        """Returns named losses of a batch, and sums to report; backend-free.

        Args:
            data: A batch, as Keras' trainers pass it.
            training: Whether this is a step of training.
        """
        x, sample_weight = batches.inputs_and_weights(data)
        # No `__call__` comes by here, which would clear them.
        self._clear_losses()
        bound = self.bound if training else self.evaluation_bound
        inputs, result = self._run_bound(bound, x, training, learns=training)
        loss, counted = bound_loss(
            result, sample_weight, self.loss_per, training
        )
        total = sum((ops.cast(x, "float32") for x in self.losses), loss)
        self._clear_losses()
        if not training:
            total = ops.where(ops.isfinite(total), total, float("inf"))
        losses = {"loss": total}
        if training:
            seed, per = self.seed_generator, self.loss_per
            losses |= own_losses(
                self.cell, inputs, result, seed, sample_weight, per
            )
        return losses, {**summarize(result), "counted": counted}

    def loss_variables(self, name: str) -> list:
        """Returns the variables that a loss may move; see `moved_variables`."""
        return moved_variables(self.cell, name, self.trainable_variables)

    def update_metrics(
        self, losses: dict, report: dict, applied: Any = True
    ) -> dict:
        """Adds a batch to the metrics and returns their values."""
        self._report.update(losses, report, applied)
        unused = self._report.others.keys() - losses.keys()
        logs = self.get_metrics_result()
        return {k: x for k, x in logs.items() if k not in unused}

    def _run_bound(
        self, bound: Bound, x: Any, training: bool, learns: bool = False
    ) -> tuple[dict, FilterResult]:
        x, noise = batches.inputs_and_noise(x)
        x = static_as_controls(x, self.series_embedding)
        inputs = prepare_inputs(x, self.cell.center, self.nan_is_missing)
        proposal, learner = self.cell.proposal, None
        state = bound.initial_state(self.cell, ops.shape(inputs["active"])[1])
        if learns:
            learner = proposal.learner(self.optimizer.learning_rate)
        if learner is not None:
            state["learner"] = learner
        result = bound.run(
            self.cell,
            inputs,
            noise and Noise.from_arrays(noise),
            state=state,
            seed=self.seed_generator
            if training
            else self.evaluation_seed_generator,
            training=training,
            keep_paths=False,
            keep_state=False,
            kl_weight=self._kl_weight_now() if training else None,
        )
        if learner is not None:
            proposal.keep_learner(result.state["learner"])
        return inputs, result

    def _kl_weight_now(self) -> Tensor | None:
        if self.kl_weight is None or self.optimizer is None:
            return None
        return self.kl_weight(self.optimizer.iterations)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """Returns the log evidence of each sequence, `(batch,)`, in nats."""
        inputs, _ = batches.inputs_and_weights(inputs)
        _, result = self._run_bound(self.evaluation_bound, inputs, training)
        return result.log_evidence

    def compute_output_spec(
        self, inputs: Any, training: bool = False
    ) -> keras.KerasTensor:
        """Returns the form of what a call gives, which Keras cannot trace."""
        inputs, _ = batches.inputs_and_weights(inputs)
        batch = as_dict(inputs)["observations"].shape[0]
        return keras.KerasTensor((batch,), dtype="float32")

    # Keras' verbs, with checks before anything runs.

    @with_signature_of(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains the model; see `keras.Model.fit`.

        `x` are observations, or a data set of them: `tf.data`, a `PyDataset`,
        a torch `DataLoader` or a generator, that yields inputs or
        `(inputs,)`. A dict of inputs may also hold `sample_weight`,
        `(batch,)`, which makes the loss a weighted mean, and changes no other
        metric; and `noise`, as from `bound.draw(..., training=True)`, in the
        place of what is drawn. `y` must be None: sequences are their own
        targets.

        Raises:
            ValueError: For inputs that cannot be right, before any training.
        """
        given = arguments_of(keras.Model.fit, args, kwargs)
        x = self._checked_data(given, training=True)
        batches.refuse_nothing_observed(x)
        validation = given.get("validation_data")
        if validation is not None:
            weights = None
            if isinstance(validation, tuple):
                validation, weights = batches.inputs_and_weights(validation)
            given["validation_data"] = self._checked(validation, weights), None
        if self.optimizer is not None and not self.optimizer.built:
            # Copies of variables on several devices are made in a scope.
            strategy = getattr(self, "distribute_strategy", None)
            with strategy.scope() if strategy else nullcontext():
                self.optimizer.build(self.trainable_variables)
        given["callbacks"] = prepared_callbacks(given.get("callbacks"), self)
        return super().fit(x, **given)

    @with_signature_of(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Computes metrics of `evaluation_bound`; see `keras.Model.evaluate`.

        The noise is that of `evaluation_seed` every time: evaluating twice
        gives the same numbers. Inputs may also hold `noise`, as from
        `evaluation_bound.draw`: with that of a NumPy generator, numbers are
        the same on all backends.
        """
        given = arguments_of(keras.Model.evaluate, args, kwargs)
        if "_use_cached_eval_dataset" in given:
            x = given.pop("x", None)
        else:
            x = self._checked_data(given)
        self._restart_evaluation_noise()
        return super().evaluate(x, **given)

    @with_signature_of(keras.Model.predict)
    def predict(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """Returns the log evidence of each sequence; see `keras.Model`."""
        given = arguments_of(keras.Model.predict, args, kwargs)
        x = self._checked(given.pop("x"))
        self._restart_evaluation_noise()
        return super().predict(x, **given)

    @with_signature_of(keras.Model.train_on_batch)
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on a batch, of which the first is checked; see Keras'."""
        self._build_on(keras.Model.train_on_batch, args, kwargs)
        return super().train_on_batch(*args, **kwargs)

    @with_signature_of(keras.Model.test_on_batch)
    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates a batch, of which the first is checked; see Keras'."""
        self._build_on(keras.Model.test_on_batch, args, kwargs)
        return super().test_on_batch(*args, **kwargs)

    def _build_on(self, method: Any, args: tuple, kwargs: dict) -> None:
        """Checks the batch that a model without weights is built for."""
        if not self.built:
            given = arguments_of(method, args, kwargs)
            batches.refuse_targets(given.get("y"))
            training = method is keras.Model.train_on_batch
            self._checked(given["x"], training=training)

    def _restart_evaluation_noise(self) -> None:
        seed = spread_seed(self.evaluation_seed, "evaluation")
        if seed is not None:
            self.evaluation_seed_generator.state.assign([seed, 0])

    def _checked_data(self, given: dict, training: bool = False) -> Any:
        """Takes the data from the arguments of a verb, and checks them."""
        if not self.compiled:
            raise ValueError(
                "The model must be compiled before it is trained or evaluated: "
                "call `model.compile(optimizer)`; to evaluate alone, "
                "`model.compile()`. Received: a model without optimizer"
            )
        batches.refuse_targets(
            given.pop("y", None), given.pop("class_weight", None)
        )
        batches.refuse_losses(self.get_compile_config())
        return self._checked(
            given.pop("x", None), given.pop("sample_weight", None), training
        )

    def _checked(
        self, data: Any, sample_weight: Any = None, training: bool = False
    ) -> Any:
        """Checks the data, or their first batch, and builds the model."""
        check = partial(self._checked_batch, training)
        return batches.checked(data, sample_weight, check)

    def _checked_batch(self, training: bool, data: Any) -> dict:
        """Returns one batch of inputs as arrays, and what noise they hold."""
        data, noise = batches.inputs_and_noise(data)
        arrays = self._checked_inputs(data)
        if noise is None:
            return arrays
        batch, steps = arrays["observations"].shape[:2]
        name = "bound" if training else "evaluation_bound"
        sizes = self.cell, steps, batch, training
        sources = getattr(self, name).sources(*sizes)
        check_noise(noise, sources, f"{name}.draw")
        found = keras.tree.map_structure(ops.convert_to_numpy, noise)
        return {**arrays, "noise": found}
