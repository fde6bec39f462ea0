"""The model: an ensemble of structural models for each series of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.structural.filtering import (
    NAMES,
    chain,
    filter_rows,
    log_prior,
    prior_means,
)
from keras_fivo.structural.harmonics import num_harmonic_columns
from keras_fivo.structural.transformation import NUM_FIELDS, Transformation
from keras_fivo.types import Tensor

# Columns of what is given of a row, beside its transformation.
_OPTIONS = ("series", "damped", "stationary", "frequency", "slope_variance")


@keras.saving.register_keras_serializable(package="keras_fivo")
class StructuralForecaster(backend.Trainer, keras.Model):
    """Structural time series models, several for each of many series.

    A row is one series under one member: a transformation, with or without
    damping of the slope, an autoregression or a cycle. Its parameters are
    trained by the exact log evidence of the row and a prior; members of a
    series are weighed by what they reach.

    Args:
        num_rows: Number of rows, over all series.
        seasons: Lengths of the seasons, in steps; none: no season.
        harmonics: Largest number of harmonics of a season.
        num_known: Number of columns that are known ahead.
        prior_scale: Factor of the standard deviations of the prior.

    Call arguments:
        inputs: Dict of `row`, int `(batch,)`, and of what `filter_rows` takes
            of these rows.

    Returns:
        `(batch,)`: the log evidence of each row, in nats; exact up to rounding.
    """

    def __init__(
        self,
        num_rows: int,
        seasons: Sequence[float] = (),
        harmonics: int = 6,
        num_known: int = 0,
        prior_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_rows = num_rows
        self.seasons = tuple(float(one) for one in seasons)
        self.harmonics = harmonics
        self.num_known = num_known
        self.prior_scale = prior_scale
        self.raw = self._fixed("parameters", len(NAMES), trainable=True)
        self.options = self._fixed("options", len(_OPTIONS))
        self.transformations = self._fixed("transformations", NUM_FIELDS)
        self.coefficient_variances = self._fixed(
            "coefficient_variances", self.num_coefficients
        )
        self.log_weights = self._fixed("log_weights", 1)
        self._compiled_filter: Callable | None = None
        self.built = True

    @property
    def num_coefficients(self) -> int:
        """Number of harmonics' coefficients and of those of known columns."""
        return num_harmonic_columns(self.seasons, self.harmonics) + (
            self.num_known
        )

    @property
    def walks(self) -> np.ndarray:
        """1 for coefficients that walk: those of seasons; `(coefficients,)`."""
        walks = np.ones(self.num_coefficients, "float32")
        walks[len(walks) - self.num_known :] = 0
        return walks

    @property
    def series_of_rows(self) -> np.ndarray:
        """Numbers of the series that rows belong to, int `(rows,)`."""
        return ops.convert_to_numpy(self.options)[:, 0].astype(int)

    @property
    def transformations_of_rows(self) -> list[Transformation]:
        """The `Transformation` of each row."""
        rows = ops.convert_to_numpy(self.transformations)
        return [Transformation.from_numbers(numbers) for numbers in rows]

    def _fixed(self, name: str, columns: int, trainable: bool = False) -> Any:
        return self.add_weight(
            name=name,
            shape=(self.num_rows, columns),
            initializer="zeros",
            trainable=trainable,
            dtype="float32",
        )

    def start(
        self,
        transformations: Any,
        options: Mapping[str, Any],
        coefficient_variances: Any,
    ) -> None:
        """Sets what is given of each row, and the parameters to the prior's.

        Args:
            transformations: `(rows, numbers)`.
            options: Dict of `(rows,)` by `series`, the number of the series,
                `damped`, `stationary`, `frequency` and `slope_variance`.
            coefficient_variances: `(rows, coefficients)`.
        """
        columns = [np.asarray(options[name], "float32") for name in _OPTIONS]
        self.options.assign(np.stack(columns, axis=1))
        self.transformations.assign(np.asarray(transformations, "float32"))
        self.coefficient_variances.assign(
            np.asarray(coefficient_variances, "float32")
        )
        self.raw.assign(np.tile(prior_means(), (self.num_rows, 1)))

    def call(self, inputs: dict) -> Tensor:
        """Returns the log evidence of each row."""
        return ops.sum(self.increments(inputs), axis=1)

    def compute_losses(self, data: Any, training: bool) -> tuple[dict, dict]:
        """Sums the negative log posterior densities of rows, in nats."""
        inputs = data[0] if isinstance(data, (tuple, list)) else data
        raw = ops.take(self.raw, inputs["row"], axis=0)
        found = self.call(inputs) + log_prior(raw, self.prior_scale)
        # Rows that fill up a batch count nothing.
        counts = ops.cast(inputs["counts"], found.dtype)
        return {"loss": -ops.sum(counts * found)}, {"counted": ops.sum(counts)}

    def loss_variables(self, name: str) -> list:
        """Returns the weights that a loss moves: all that are trained."""
        return self.trainable_variables

    def update_metrics(
        self, losses: dict, report: dict, applied: Any = True
    ) -> dict:
        """Returns what `fit` reports: nats a row."""
        return {"loss": losses["loss"] / ops.maximum(report["counted"], 1.0)}

    def increments(self, inputs: dict) -> Tensor:
        """Returns increments of the log evidence, `(batch, time)`, in nats."""
        return filter_rows(self.parameters(inputs["row"]), self.full(inputs))

    def full(self, inputs: dict) -> dict:
        """Returns the inputs with what the model knows of their rows."""
        variances = ops.take(self.coefficient_variances, inputs["row"], axis=0)
        return {
            **inputs,
            "coefficient_variances": variances,
            "walks": ops.convert_to_tensor(self.walks),
        }

    def parameters(self, row: Any) -> dict:
        """Returns the matrices of rows; see `chain`."""
        options = ops.unstack(ops.take(self.options, row, axis=0), axis=1)
        named = dict(zip(_OPTIONS, options, strict=True))
        return chain(ops.take(self.raw, row, axis=0), named)

    def filter(self, inputs: dict) -> tuple[Tensor, dict]:
        """Filters rows; gives increments and states, see `filter_rows`."""
        if self._compiled_filter is None:
            self._compiled_filter = backend.compiled(self._filter, self, [])
        return self._compiled_filter(inputs)

    def _filter(self, inputs: dict) -> Any:
        parameters = self.parameters(inputs["row"])
        return filter_rows(parameters, self.full(inputs), keep_states=True)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_rows": self.num_rows,
            "seasons": list(self.seasons),
            "harmonics": self.harmonics,
            "num_known": self.num_known,
            "prior_scale": self.prior_scale,
        }
