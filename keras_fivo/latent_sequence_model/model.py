"""The Keras model around a cell and a bound."""

import hashlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.bounds import Bound, get_bound
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import as_dict, prepare_inputs
from keras_fivo.latent_sequence_model import checks
from keras_fivo.latent_sequence_model.verbs import Verbs
from keras_fivo.metrics import FilterMetrics, summarize
from keras_fivo.types import SeedLike, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LatentSequenceModel(Verbs, backend.Trainer, keras.Model):
    """A latent sequence model that is trained with a bound.

    Observations are an array `(batch, time, features)`, or a dict of it as
    `observations` with, where there are any, `mask` `(batch, time)` or
    `(batch, time, features)`, True = observed; `lengths` `(batch,)`; and
    `controls` `(batch, time, controls)`. The length of a sequence is one
    past its last observed step, unless `lengths` says otherwise.

    `evaluate`, validation, and `predict` use `evaluation_bound`, with the
    same noise every time; `fit` uses `bound`.

    Args:
        cell: A `LatentCell`.
        bound: A bound, or `"elbo"`, `"iwae"` or `"fivo"`.
        evaluation_bound: A bound or its name; None: the same as `bound`.
        loss_per: `"step"`: the loss is the mean over sequences of
            -bound / length; `"sequence"`: of -bound.
        nan_is_missing: Whether NaN in observations stands for a missing
            entry, rather than being an error.
        seed: Seed of the noise of training and sampling; None: drawn.
        evaluation_seed: Seed of the noise of each evaluation.

    Call arguments:
        inputs: Observations, as above.

    Returns:
        `(batch,)`: the log evidence of each sequence, as estimated by
        `evaluation_bound`, in nats.

    Example:
    ```python
    cell = kf.VRNNCell(latent_dim=8, units=16, emission="bernoulli")
    model = kf.LatentSequenceModel(cell, bound=kf.FIVO(num_particles=4))
    model.adapt(rolls)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(rolls, epochs=2)
    ```

    Reference:
        Maddison et al., 2017, "Filtering Variational Objectives".
    """

    def __init__(
        self,
        cell: LatentCell,
        bound: Any = "fivo",
        evaluation_bound: Any = None,
        loss_per: str = "step",
        nan_is_missing: bool = False,
        seed: SeedLike = None,
        evaluation_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(cell, LatentCell):
            raise TypeError(
                f"`cell` must be a LatentCell. Received: cell={cell!r}"
            )
        if loss_per not in ("step", "sequence"):
            raise ValueError(
                "`loss_per` must be 'step' or 'sequence'. "
                f"Received: loss_per={loss_per!r}"
            )
        self.cell = cell
        self.loss_per = loss_per
        self.nan_is_missing = bool(nan_is_missing)
        self.seed = seed
        self.evaluation_seed = evaluation_seed
        self.seed_generator = keras.random.SeedGenerator(_spread(seed))
        self.evaluation_seed_generator = keras.random.SeedGenerator(
            _spread(evaluation_seed)
        )
        self._report = FilterMetrics()
        self._functions: dict = {}
        self._bound = get_bound(bound)
        self._evaluation_bound = (
            None
            if evaluation_bound is None
            else get_bound(evaluation_bound, "evaluation_bound")
        )

    @property
    def bound(self) -> Bound:
        """The bound of training; may be replaced at any time."""
        return self._bound

    @bound.setter
    def bound(self, bound: Any) -> None:
        self._bound = get_bound(bound)
        self._forget_compiled()

    @property
    def evaluation_bound(self) -> Bound:
        """The bound of evaluation and filtering; may be replaced."""
        return self._evaluation_bound or self._bound

    @evaluation_bound.setter
    def evaluation_bound(self, bound: Any) -> None:
        self._evaluation_bound = (
            None if bound is None else get_bound(bound, "evaluation_bound")
        )
        self._forget_compiled()

    def _forget_compiled(self) -> None:
        self.train_function = None
        self.test_function = None
        self.predict_function = None
        self._functions = {}

    def build(self, input_shape: Any) -> None:
        """Creates the weights.

        Args:
            input_shape: `(batch, time, features)`, or a dict of shapes.
        """
        if not self.cell.built:
            self.cell.build(input_shape)
        self._input_sizes = {
            key: int(shape[-1])
            for key, shape in as_dict(input_shape).items()
            if key in ("observations", "controls")
        }

    def get_build_config(self) -> dict | None:
        """Sizes of the inputs that the model was built for."""
        return {"sizes": self._input_sizes} if self.built else None

    def build_from_config(self, config: dict | None) -> None:
        """Builds the model for the sizes that it was saved with."""
        if config and "sizes" in config:
            shapes = {k: (None, None, n) for k, n in config["sizes"].items()}
            self.build(shapes)

    # Training.

    @property
    def metrics(self) -> list:
        """The metrics of `fit` and `evaluate`; see `FilterMetrics`."""
        return self._report.as_list()

    def compute_losses(self, data: Any, training: bool) -> tuple[dict, dict]:
        """Named losses of a batch, and sums to report; backend-free.

        Args:
            data: A batch, as Keras' trainers pass it.
            training: Whether this is a step of training.
        """
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        inputs = prepare_inputs(x, self.cell.center, self.nan_is_missing)
        result = (self.bound if training else self.evaluation_bound).run(
            self.cell,
            inputs,
            seed=self._seeds(training),
            training=training,
            keep_paths=False,
            keep_state=False,
        )
        report = summarize(result)
        loss = self._loss_of(result, sample_weight)
        penalties = self.losses
        return {"loss": sum(penalties, loss)}, report

    def loss_variables(self, name: str) -> list:
        """The variables that the loss of that name may move."""
        return self.trainable_variables

    def update_metrics(
        self, losses: dict, report: dict, finite: Tensor
    ) -> dict:
        """Adds a batch to the metrics and returns their values."""
        self._report.update(losses, report, finite)
        return self.get_metrics_result()

    def _loss_of(self, result: Any, sample_weight: Tensor | None) -> Tensor:
        bounds = result.log_evidence
        lengths = ops.cast(result.lengths, "float32")
        counted = (lengths > 0) & (bounds != -float("inf"))
        bounds = ops.where(counted, bounds, ops.zeros_like(bounds))
        if self.loss_per == "step":
            bounds = bounds / ops.maximum(lengths, 1.0)
        weights = ops.cast(counted, "float32")
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, "float32")
        return -ops.sum(bounds * weights) / ops.maximum(
            ops.sum(weights), keras.config.epsilon()
        )

    def _seeds(self, training: bool) -> Any:
        if training:
            return self.seed_generator
        return self.evaluation_seed_generator

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """The log evidence of each sequence, `(batch,)`, in nats."""
        prepared = prepare_inputs(inputs, self.cell.center, self.nan_is_missing)
        result = self.evaluation_bound.run(
            self.cell,
            prepared,
            seed=self._seeds(training),
            training=training,
            keep_paths=False,
            keep_state=False,
        )
        return result.log_evidence

    # Keras' verbs, with checks before anything runs.

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Trains the model; see `keras.Model.fit`.

        Args:
            x: Observations, or a data set of them: `tf.data`, a `PyDataset`,
                a torch `DataLoader` or a generator, that yields inputs,
                `(inputs,)` or `(inputs, None, sample_weight)`.
            y: Must be None: sequences are their own targets.
            **kwargs: As for `keras.Model.fit`.

        Raises:
            ValueError: For inputs that cannot be right, before any training.
        """
        self._refuse_targets(y)
        x = self._checked(x)
        validation = kwargs.get("validation_data")
        if validation is not None:
            if isinstance(validation, tuple):
                validation = checks.inputs_of(validation)
            kwargs["validation_data"] = _as_pair(self._checked(validation))
        return super().fit(x, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Metrics of the evaluation bound; see `keras.Model.evaluate`.

        The noise is that of `evaluation_seed` every time: evaluating twice
        gives the same numbers.
        """
        self._refuse_targets(y)
        if x is not None and "_use_cached_eval_dataset" not in kwargs:
            x = self._checked(x)
        self._restart_evaluation_noise()
        return super().evaluate(x, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Log evidence of each sequence; see `keras.Model.predict`."""
        x = self._checked(x)
        self._restart_evaluation_noise()
        return super().predict(x, **kwargs)

    def _restart_evaluation_noise(self) -> None:
        fresh = keras.random.SeedGenerator(_spread(self.evaluation_seed))
        self.evaluation_seed_generator.state.assign(fresh.state)

    def _refuse_targets(self, y: Any) -> None:
        if y is not None:
            checks.inputs_of((None, y))

    def _checked(self, data: Any) -> Any:
        """Checks the data, or their first batch, and builds the model."""
        if checks.is_batch(data):
            data = checks.check_inputs(data, self.cell, self.nan_is_missing)
            first = data
        else:
            first, data = checks.first_batch(data)
            first = checks.check_inputs(first, self.cell, self.nan_is_missing)
        self._ensure_built(first)
        return data

    def _ensure_built(self, arrays: dict) -> None:
        if not self.built:
            self.build({key: x.shape for key, x in arrays.items()})

    def adapt(self, data: Any, scale: bool = False) -> None:
        """Takes centring, and the emission's bias, from the training data.

        Args:
            data: Observations or a data set of them.
            scale: Whether inputs of networks are also divided by the
                standard deviation.
        """
        count, total, squares = 0.0, 0.0, 0.0
        for batch in checks.batches(data):
            arrays = checks.check_inputs(
                batch, self.cell, self.nan_is_missing, fresh=False
            )
            self._ensure_built(arrays)
            values, observed = checks.observed_entries(
                arrays, self.nan_is_missing
            )
            count = count + observed.sum((0, 1))
            total = total + values.sum((0, 1))
            squares = squares + np.square(values).sum((0, 1))
        if not np.all(count):
            raise ValueError(
                "Each feature must be observed at least once in the data "
                f"that the model adapts to. Received: {count} observed "
                "entries"
            )
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
        self.cell.adapt(
            mean.astype("float32"),
            deviation.astype("float32") if scale else None,
        )

    def get_config(self) -> dict:
        """Constructor arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "cell": serialize(self.cell),
            "bound": serialize(self._bound),
            "evaluation_bound": serialize(self._evaluation_bound),
            "loss_per": self.loss_per,
            "nan_is_missing": self.nan_is_missing,
            "seed": self.seed,
            "evaluation_seed": self.evaluation_seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict, **kwargs: Any) -> Any:
        """Rebuilds the model with its cell and bounds."""
        config = dict(config)
        config["cell"] = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**config)


def _as_pair(data: Any) -> Any:
    """What `fit` takes as validation data: arrays need a pair."""
    return (data, None) if isinstance(data, dict) else data


def _spread(seed: SeedLike) -> Any:
    """A seed far from those of other seeds.

    On PyTorch the seed of the n-th draw is the generator's seed plus n:
    neighbouring seeds would share noise.
    """
    if seed is None:
        return None
    digest = hashlib.sha256(str(int(seed)).encode()).digest()
    return int.from_bytes(digest[:4], "little") % (2**31 - 1)
