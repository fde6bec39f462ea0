"""The Keras model around a cell and a bound: train, filter, forecast, save."""

from dataclasses import fields
from typing import Any

import keras
import numpy as np

from keras_fivo.bounds import FIVO, Bound, get_bound
from keras_fivo.checks import check_count
from keras_fivo.inference.evidence import evidence_increments
from keras_fivo.inference.filtering import (
    can_stream,
    filter_sequences,
    one_step,
)
from keras_fivo.inference.smoothing import Smoother, SmoothingResult
from keras_fivo.inference.states import check_continuation, check_state, forms
from keras_fivo.input_checks import (
    any_entry,
    check_shapes,
    check_values,
    observed_entries,
)
from keras_fivo.inputs import prepare_inputs
from keras_fivo.latent_sequence_model.filter_step import (
    FilterStep,
    export_step,
)
from keras_fivo.latent_sequence_model.generating_model import GeneratingModel
from keras_fivo.latent_sequence_model.static_features import (
    static_as_controls,
)
from keras_fivo.lookup import key_of
from keras_fivo.noise import check_noise
from keras_fivo.seeds import drawing_from
from keras_fivo.smc import FilterResult
from keras_fivo.types import Tensor

_FIELDS = [field.name for field in fields(FilterResult)]


@keras.saving.register_keras_serializable(package="keras_fivo")
class LatentSequenceModel(GeneratingModel):
    """A latent sequence model that is trained with a bound.

    Observations are an array `(batch, time, features)`, of an `SVGCell`
    frames `(batch, time, height, width, channels)`, or a dict of it as
    `observations` with, where there are any, `mask` `(batch, time)` or of the
    shape of the observations, True = observed; `lengths` `(batch,)`;
    `controls` `(batch, time, controls)`; and of whole sequences `static`
    `(batch, features)`, and `series` `(batch,)`, integers that tell which
    series they are of. The length of a sequence is one past its last observed
    step, unless `lengths` says otherwise.

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
        seed: Seed of the noise of training and, apart from it, of filtering
            and sampling; None: drawn.
        evaluation_seed: Seed of the noise of each evaluation, which is
            apart from that of `seed`, whatever the numbers; None: new noise
            every time.
        kl_weight: Factor of log p(z_t | past) - log q(z_t) in training: a
            number, a schedule such as `KLWarmUp`, or None for one. The bound
            that `fit` reports has it too, and is none then.
        series_embedding: A `keras.layers.Embedding`, trained with the cell,
            of as many inputs as there are series: the cell reads the vector
            of `series` among its controls, after those that are given and
            before `static`. The number -1, of a series that was not trained
            on, gets the mean of all vectors. None: inputs have no `series`.

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

    def filter(
        self,
        observations: Any,
        bound: Any = None,
        noise: dict | None = None,
        state: dict | None = None,
    ) -> FilterResult:
        """Runs the particle filter over a batch of sequences.

        A sequence in parts needs the `lengths` of each part: steps after its
        last observed one are missing or padding, which a mask does not tell.

        Args:
            observations: As for the model.
            bound: A bound or its name; None: `evaluation_bound`.
            noise: Random numbers as from `Bound.draw`; None: drawn.
            state: The `state` of an earlier result, to go on from there.

        Returns:
            A `FilterResult`.

        Raises:
            ValueError: If a sequence goes on after steps that were left out.
        """
        chosen = self.evaluation_bound if bound is None else get_bound(bound)
        data = self._checked_inputs(observations)
        return self._filter(data, chosen, noise, state)

    def log_evidence(self, observations: Any, bound: Any = None) -> Tensor:
        """Estimates log p(x_1:T), `(batch,)`, in nats.

        Args:
            observations: As for the model.
            bound: A bound or its name; None: `evaluation_bound`.
        """
        return self.filter(observations, bound).log_evidence

    def anomaly_scores(self, observations: Any, bound: Any = None) -> Any:
        """Tells how surprising each step is: -log p(x_t | x_<t).

        `kf.metrics.anomaly_threshold` turns the scores of normal sequences
        into a threshold.

        Args:
            observations: As for the model.
            bound: IWAE or FIVO, or its name; None: `evaluation_bound`.

        Returns:
            NumPy float64 `(batch, time)`, in nats; NaN where nothing is
            observed.
        """
        result = self.filter(observations, bound)
        data = self._checked_inputs(observations)
        _, observed = observed_entries(data, self.nan_is_missing)
        scores = -evidence_increments(result)
        return np.where(any_entry(observed), scores, np.nan)

    def step(
        self,
        observation: Any,
        state: dict | None = None,
        noise: dict | None = None,
    ) -> tuple[dict, FilterResult]:
        """Filters one more observation of each sequence.

        Stepping through a sequence gives the same as filtering it whole, on
        the same noise. Values are checked where they are NumPy arrays;
        tensors stay on their device.

        Args:
            observation: `(batch, features)`, or a dict of it as
                `observations` with `mask` `(batch,)` or `(batch, features)`,
                `controls` `(batch, controls)`, `series` and `static`.
            state: What the last step returned; None: the first step.
            noise: Random numbers as from `Bound.draw`, for one time step.

        Returns:
            The new state, and a `FilterResult` of one time step whose
            `log_evidence` is that of all steps so far.

        Raises:
            ValueError: If the proposal or a twist looks at later
                observations.
        """
        can_stream(self.cell)
        data = one_step(observation, self.cell.observation_rank)
        if not self.built:
            self._checked_static(data)
            self.build({key: x.shape for key, x in data.items()})
        check_shapes(data, self.cell, self._checked_static(data))
        if all(isinstance(x, np.ndarray) for x in data.values()):
            check_values(data, self.cell, self.nan_is_missing)
        # Streaming reads no value back: where the last step left a state, all
        # of its steps were counted.
        left_out = None if state is None else state.get("left_out")
        counted = left_out is not None and left_out is self._none_left_out
        bound = self.evaluation_bound
        result = self._filter(data, bound, noise, state, counted)
        told = isinstance(observation, dict) and "lengths" in observation
        self._none_left_out = None if told else result.state["left_out"]
        return result.state, result

    _none_left_out: Any = None
    """The tensor that tells, of the state after the last `step`, that none of
    its steps were left out."""

    def _filter(
        self,
        data: dict,
        bound: Bound,
        noise: dict | None,
        state: dict | None,
        counted: bool = False,
    ) -> FilterResult:
        batch, num_steps = data["observations"].shape[:2]
        key = key_of(bound)
        if noise is not None:
            sources = bound.sources(self.cell, num_steps, batch)
            check_noise(noise, sources, "bound.draw")
        if state is not None:
            expected = self._functions.once(
                ("state", key, batch),
                lambda: forms(bound.initial_state(self.cell, batch)),
            )
            check_state(state, expected)
            check_continuation(
                self.cell, state, data, self.nan_is_missing, counted
            )

        def run(data: dict, noise: dict | None, state: dict | None) -> dict:
            result = filter_sequences(
                self.cell,
                bound,
                static_as_controls(data, self.series_embedding),
                noise,
                state,
                self.filter_seed_generator,
                self.nan_is_missing,
            )
            return {name: getattr(result, name) for name in _FIELDS}

        return FilterResult(
            **self._functions(("filter", key), run, data, noise, state)
        )

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        batch_size: int = 1,
        num_steps: int | None = None,
        **kwargs: Any,
    ) -> FilterStep:
        """Writes the filter, or its step, for programs without Keras.

        State, observation and noise go in; the new state, the log evidence
        and the mean of the next observation come out: see `FilterStep`, which
        this returns, for the names and for the first state. With `num_steps`
        so many observations go in at once. A step is small: give onnxruntime
        one thread, `SessionOptions.intra_op_num_threads = 1`.

        Args:
            filepath: Folder, or file, to write.
            format: `"tf_saved_model"`, on TensorFlow and JAX; or `"onnx"`, on
                PyTorch with onnxscript, on TensorFlow with tf2onnx.
            batch_size: Number of sequences, which is fixed.
            num_steps: Number of observations of a whole filter, whose steps
                are written out one after the other: the file grows with it.
                None: a step.
            **kwargs: Likewise for `keras.Model.export`.

        Raises:
            ValueError: Where Keras cannot write that format, or the filter
                needs later observations.
            ImportError: Where it needs a package that is not installed.
        """
        return export_step(
            self, filepath, format, batch_size, num_steps, **kwargs
        )

    def smooth(
        self,
        observations: Any,
        method: str = "ancestral",
        num_samples: int = 100,
        num_particles: int = 128,
        lag: int | None = None,
        bound: Any = None,
        noise: dict | None = None,
        seed: Any = None,
    ) -> SmoothingResult:
        """Estimates the latents given each whole sequence, p(z_t | x_1:T).

        Args:
            observations: As for the model.
            method: `"ancestral"`, for any cell; `"fixed_lag"`; `"backward"`;
                or `"exact"`; see `Smoother`.
            num_samples: Number of samples of each sequence.
            num_particles: Number of particles of the filter.
            lag: Number of later steps that `"fixed_lag"` looks at.
            bound: Filter in the place of `FIVO(num_particles)`.
            noise: Random numbers as from `Smoother.draw`; None: drawn.
            seed: Seed of the noise; None: the model's own.
        """
        bound = FIVO(num_particles) if bound is None else get_bound(bound)
        smoother = Smoother(self.cell, method, bound, lag)
        num_samples = check_count("num_samples", num_samples)
        data = self._checked_inputs(observations)
        batch, num_steps = data["observations"].shape[:2]
        sizes = (num_steps, batch, num_samples)
        if noise is not None:
            smoother.check_noise(noise, *sizes, seed)
        else:
            with drawing_from(self.filter_seed_generator, seed, "smooth"):
                noise = smoother.draw(*sizes, self.filter_seed_generator)

        def run(data: dict, noise: dict) -> dict:
            data = static_as_controls(data, self.series_embedding)
            inputs = prepare_inputs(data, self.cell.center, self.nan_is_missing)
            return smoother(inputs, noise)

        key = ("smooth", method, lag, key_of(bound))
        found = self._functions(key, run, data, noise)
        return SmoothingResult(method=method, **found)
