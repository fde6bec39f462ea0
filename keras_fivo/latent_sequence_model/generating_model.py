"""A trained model that samples and forecasts."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_fivo.bounds import FIVO
from keras_fivo.checks import check_count
from keras_fivo.inference import forecasting
from keras_fivo.input_checks import lengths_of
from keras_fivo.latent_sequence_model.batches import pad_to_bucket
from keras_fivo.latent_sequence_model.static_features import (
    static_as_controls,
    static_to_come,
)
from keras_fivo.latent_sequence_model.trained_model import TrainedModel
from keras_fivo.seeds import drawing_from
from keras_fivo.types import Tensor


class GeneratingModel(TrainedModel):
    """The part of a `LatentSequenceModel` that runs it forward."""

    def sample(
        self,
        num_steps: int,
        num_samples: int = 1,
        prefix: Any = None,
        controls: Any = None,
        num_particles: int = 64,
        seed: Any = None,
    ) -> Tensor:
        """Samples observations, from the start or after a prefix.

        Args:
            num_steps: Number of steps to sample.
            num_samples: Number of samples, of each prefix if there are any.
            prefix: Observations to continue, as for the model; each sequence
                goes on from its own last step, from particles drawn from its
                posterior.
            controls: Exogenous inputs of the sampled steps, `(num_steps,
                controls)`, or `(batch, num_steps, controls)` with a prefix.
            num_particles: Number of particles that filter the prefix.
            seed: Seed; None: the model's own.

        Returns:
            `(num_samples, num_steps, features)`, or with a prefix `(batch,
            num_samples, num_steps, features)`, without the prefix; NaN after
            a prefix that killed all particles.
        """
        given = (prefix, num_steps, num_samples, controls, num_particles, seed)
        samples = self._generate(*given)["samples"]
        return samples[0] if prefix is None else samples

    def forecast(
        self,
        observations: Any,
        num_steps: int,
        num_samples: int = 100,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        controls: Any = None,
        num_particles: int = 64,
        seed: Any = None,
        known: Any = None,
    ) -> forecasting.Forecast:
        """Forecasts samples, means and quantiles of what comes next.

        With `known`, all of these are given what is known of the steps to
        come: the samples are then the particles of a filter, which a short
        horizon or little that is known suits best; take more of them
        elsewhere. Its emission must have entries that are independent given
        the latent, or be a multivariate Normal.

        Args:
            observations: The past, as for the model.
            num_steps: Number of steps to forecast.
            num_samples: Number of samples of each sequence.
            quantiles: Levels in (0, 1).
            controls: Exogenous inputs to come, `(batch, num_steps,
                controls)`.
            num_particles: Number of particles that filter the past.
            seed: Seed; None: the model's own.
            known: Entries of the steps to come that are known ahead, as
                columns of prices or of the weather, `(batch, num_steps,
                features)`; NaN: not known. Controls are what a model was
                trained with; any entry of an observation may be known.
        """
        levels = tuple(float(level) for level in quantiles)
        if not all(0 < level < 1 for level in levels):
            raise ValueError(
                "`quantiles` must lie in (0, 1). "
                f"Received: quantiles={quantiles!r}"
            )
        found = self._generate(
            observations,
            num_steps,
            num_samples,
            controls,
            num_particles,
            seed,
            levels,
            known,
        )
        return forecasting.Forecast(levels=levels, **found)

    def _generate(
        self,
        prefix: Any,
        num_steps: int,
        num_samples: int,
        controls: Any,
        num_particles: int,
        seed: Any,
        levels: tuple[float, ...] | None = None,
        known: Any = None,
    ) -> dict:
        """Samples after a prefix, and summarizes them if levels are given."""
        num_steps = check_count("num_steps", num_steps)
        num_samples = check_count("num_samples", num_samples)
        data, batch, bound = None, 1, FIVO(num_particles)
        if prefix is not None:
            data = self._checked_inputs(prefix)
            batch = data["observations"].shape[0]
            _warn_of_what_is_left_out(data, self.nan_is_missing)
            data = pad_to_bucket(data, self.nan_is_missing)
        else:
            self._check_can_begin()
        to_come = self._to_come(
            controls, known, (batch, num_steps), num_samples
        )

        def run(
            data: dict | None, controls: Tensor | None, known: dict | None
        ) -> dict:
            embedding = self.series_embedding
            controls = static_to_come(
                controls, data, embedding, num_steps, num_samples
            )
            data = static_as_controls(data, embedding)
            return forecasting.sample_paths(
                self.cell,
                forecasting.Start(bound, data, self.nan_is_missing),
                num_steps,
                num_samples,
                self.filter_seed_generator,
                controls,
                levels,
                known,
            )

        sizes = (num_steps, num_samples, bound.num_particles, levels)
        with drawing_from(self.filter_seed_generator, seed, "sample"):
            key = ("generate", *sizes)
            return self._functions(key, run, data, *to_come)

    def _check_can_begin(self) -> None:
        """Refuses samples without a prefix, where there must be one."""
        if not self.built:
            raise ValueError(
                "The model must be built before it can sample: fit it, "
                "load it or call `model.build((None, None, features))`. "
                "Received: a model without weights"
            )
        if self.static_dim:
            raise ValueError(
                "The model has static inputs: give them in a `prefix`, whose "
                "`lengths` may be 0. Received: prefix=None"
            )

    def _to_come(
        self, controls: Any, known: Any, shape: tuple, num_samples: int
    ) -> tuple:
        """Returns controls and what is static of the steps to come; or None.

        Args:
            controls: As for `forecast`.
            known: As for `forecast`.
            shape: Numbers of sequences and of steps to come.
            num_samples: Number of samples of each sequence.
        """
        if controls is not None:
            given = (shape[0], shape[1], num_samples)
            controls = forecasting.control_rows(controls, *given)
        elif self.cell.control_dim > self.static_dim:
            raise ValueError(
                "The model has exogenous inputs: `controls` must give those "
                f"of the {shape[1]} steps to come. Received: controls=None"
            )
        if known is not None:
            shape = (*shape, *self.cell.observation_shape)
            known = forecasting.known_rows(known, shape, num_samples)
        return controls, known


def _warn_of_what_is_left_out(data: dict, nan_is_missing: bool) -> None:
    """Warns where a mask or NaN alone says that sequences have ended.

    Args:
        data: As from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.
    """
    num_steps = data["observations"].shape[1]
    unseen = num_steps - lengths_of(data, nan_is_missing)
    if "lengths" not in data and unseen.any():
        warnings.warn(
            f"The last steps of {np.count_nonzero(unseen)} sequences, up to "
            f"{unseen.max()}, are not observed, and taken for padding: what "
            "comes next is counted from the last observed step. Pass "
            "`lengths` where they are steps of the sequence that are missing, "
            "and to say that they are not.",
            stacklevel=4,
        )
