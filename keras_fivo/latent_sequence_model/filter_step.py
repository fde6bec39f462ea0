"""A filter, or a step of it, in a form that other programs can run."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import (
    expand_rows,
    flatten_rows,
    like_rows,
    time_first,
)
from keras_fivo.checks import check_count
from keras_fivo.inference.filtering import can_stream
from keras_fivo.inputs import STATIC_KEYS, prepare_inputs
from keras_fivo.latent_sequence_model.onnx_file import tidy
from keras_fivo.latent_sequence_model.static_features import (
    static_as_controls,
    static_rows,
)
from keras_fivo.noise import Noise
from keras_fivo.types import Tensor


class FilterStep(keras.Model):
    """The step of a model's filter as a function of arrays, to be exported.

    What it takes and gives are dicts of arrays by name; no random number is
    drawn inside. The state is in parts: pass `new_state_0`, `new_state_1`, ...
    of one step to the next as `state_0`, `state_1`, ...

    Args:
        model: A built `LatentSequenceModel` whose proposal sees no future;
            its `evaluation_bound` is the filter.
        batch_size: Number of sequences, which is fixed.
        num_steps: Number of observations that are filtered at once, which is
            fixed too; their arrays then have an axis of time, `(batch, time,
            ...)`, but for `next_controls` and `forecast_noise`. Steps after
            the end of a sequence have a mask of zeros. None: one observation,
            without that axis.

    Call arguments:
        inputs: A dict of `observations` `(batch, features)`; `mask` `(batch,
            features)`, 1.0 where observed; `controls` `(batch, controls)` and
            `next_controls`, those of the step to come, `series`, int32
            `(batch,)`, and `static` `(batch, features)`, if the model has any;
            `latent_noise` and `forecast_noise` `(batch, particles,
            *noise_shape)`, standard Normal or uniform as the cell's latents
            need; `resampling_noise` `(batch, ...)`, uniform, unless the
            filter never resamples, and `proposal_noise` where the proposal
            has any, as `draw` gives them; and the parts of the state.

    Returns:
        A dict of `log_evidence` `(batch,)`, of all steps so far, in nats;
        `forecast` `(batch, features)`, the mean of the next observation; the
        parts of the new state, `new_state_0`, `new_state_1`, ...; and with
        `num_steps` `means` `(batch, time, latent_dim)`, of p(z_t | x_1:t).
    """

    def __init__(
        self, model: Any, batch_size: int = 1, num_steps: int | None = None
    ) -> None:
        super().__init__(name="filter_step", autocast=False)
        can_stream(model.cell)
        if not model.cell.built:
            raise ValueError(
                "The model must be built before its filter is exported. "
                "Received: a model without weights"
            )
        self.cell = model.cell
        self.series_embedding = model.series_embedding
        self.static_dim = model.static_dim
        self.num_static = sum(model.input_sizes.get("static", []))
        self.bound = model.evaluation_bound
        self.batch_size = check_count("batch_size", batch_size)
        self.lead: tuple[int, ...] = (self.batch_size,)
        if num_steps is not None:
            self.lead = (*self.lead, check_count("num_steps", num_steps))
        self.built = True

    def initial_state(self) -> dict[str, np.ndarray]:
        """Returns the parts of the state before the first step."""
        return {
            name: np.asarray(ops.convert_to_numpy(x))
            for name, x in _parts(self._initial()).items()
        }

    def draw(self, seed: Any = None) -> dict[str, np.ndarray]:
        """Returns random numbers of one call, by the names of the inputs.

        Args:
            seed: Integer or seed generator.
        """
        generator = np.random.default_rng(seed)
        found = {}
        for name, (shape, kind) in self._noise().items():
            found[name] = (
                generator.standard_normal(shape)
                if kind == "normal"
                else generator.random(shape)
            ).astype("float32")
        return found

    def signature(self) -> dict[str, tuple[tuple, str]]:
        """Returns the shape and the dtype of each input by name."""
        features = (*self.lead, *self.cell.observation_shape)
        found = {
            "observations": (features, "float32"),
            "mask": (features, "float32"),
        }
        given = self.cell.control_dim - self.static_dim
        if given:
            found["controls"] = ((*self.lead, given), "float32")
            found["next_controls"] = ((self.batch_size, given), "float32")
        if self.series_embedding is not None:
            found["series"] = ((self.batch_size,), "int32")
        if self.num_static:
            found["static"] = ((self.batch_size, self.num_static), "float32")
        for name, (shape, _) in self._noise().items():
            found[name] = (shape, "float32")
        for name, part in self.initial_state().items():
            found[name] = (part.shape, str(part.dtype))
        return found

    def output_ranks(self) -> dict[str, int]:
        """Returns the number of axes of each output by name."""
        parts = self.initial_state().items()
        state = {f"new_{name}": x.ndim for name, x in parts}
        features = 1 + len(self.cell.observation_shape)
        means = {"means": 3} if self._has_time else {}
        return {"log_evidence": 1, "forecast": features, **means, **state}

    @property
    def _has_time(self) -> bool:
        return len(self.lead) == 2

    def call(self, inputs: dict) -> dict:
        """Filters what is observed; see the class."""
        state = self._state(inputs)

        def over_time(x: Tensor) -> Tensor:
            return x if self._has_time else ops.expand_dims(x, 1)

        steps = self.lead[1] if self._has_time else 1
        data = {
            "observations": over_time(inputs["observations"]),
            "mask": over_time(inputs["mask"] > 0.5),
            "lengths": ops.full((self.batch_size,), steps, "int32"),
        }
        if "controls" in inputs:
            data["controls"] = over_time(inputs["controls"])
        data |= {name: inputs[name] for name in STATIC_KEYS if name in inputs}
        data = static_as_controls(data, self.series_embedding)
        noise = Noise(
            **{
                name: time_first(over_time(inputs[f"{name}_noise"]))
                for name in ("latent", "proposal", "resampling")
                if f"{name}_noise" in inputs
            }
        )
        prepared = prepare_inputs(data, self.cell.center)
        with backend.unrolled():
            result = self.bound.run(
                self.cell, prepared, noise, state, keep_paths=self._has_time
            )
            forecast = self._forecast(result.state, inputs)
        found = {
            "log_evidence": result.log_evidence,
            "forecast": forecast,
        }
        if self._has_time:
            weights = ops.softmax(result.log_weights, axis=-1)
            weighed = ops.expand_dims(weights, -1) * result.latents
            # (batch, time, particles, latent_dim) -> (batch, time, latent_dim)
            found["means"] = ops.sum(weighed, axis=2)
        state = {name: result.state[name] for name in self._initial()}
        # Each output is a tensor of its own, also where nothing changes.
        new = {f"new_{name}": x + 0 for name, x in _parts(state).items()}
        return {**found, **new}

    def _forecast(self, state: dict, inputs: dict) -> Tensor:
        """Averages the next observation's mean over weighted particles."""
        particles = self.bound.num_particles
        parts = [
            inputs.get("next_controls"),
            static_rows(inputs, self.series_embedding),
        ]
        given = [x for x in parts if x is not None]
        controls = ops.concatenate(given, axis=-1) if given else None
        past = self.cell.past_features(state["observed"], controls)
        noise = flatten_rows(inputs["forecast_noise"])
        emission = {
            "latent": noise,
            "emission": self._middle_noise(self.batch_size * particles),
        }
        sampled, _ = self.cell.generate(
            state["particles"],
            expand_rows(past, particles),
            expand_rows(state["step"], particles),
            emission,
        )
        means = ops.reshape(
            sampled["means"],
            (self.batch_size, particles, *self.cell.observation_shape),
        )
        weights = ops.softmax(state["log_weights"], axis=-1)
        return ops.sum(like_rows(weights, means) * means, axis=1)

    def _middle_noise(self, rows: int) -> Tensor:
        """Returns noise of observations that are not looked at."""
        middle = 0.0 if self.cell.emission_noise == "normal" else 0.5
        return ops.full((rows, *self.cell.emission_noise_shape), middle)

    def _noise(self) -> dict[str, tuple[tuple, str]]:
        cell = self.cell
        shape = (self.bound.num_particles, *cell.noise_shape)
        found = {
            "latent_noise": ((*self.lead, *shape), cell.noise),
            "forecast_noise": ((self.batch_size, *shape), cell.noise),
        }
        sources = self.bound.sources(cell, 1, self.batch_size)
        kinds = {"proposal": "normal", "resampling": "uniform"}
        for name in kinds.keys() & sources.keys():
            # Of one step, (time, batch, ...).
            parts = tuple(sources[name].shape[2:])
            found[f"{name}_noise"] = ((*self.lead, *parts), kinds[name])
        return found

    def _initial(self) -> dict:
        """Returns the state before the first step, less what no step leaves."""
        state = self.bound.initial_state(self.cell, self.batch_size)
        return {name: x for name, x in state.items() if name != "left_out"}

    def _state(self, inputs: dict) -> dict:
        outline = self._initial()
        parts = [inputs[name] for name in _parts(outline)]
        state = keras.tree.pack_sequence_as(outline, parts)
        return {**state, "left_out": ops.zeros((self.batch_size,), "int32")}


def _parts(state: dict) -> dict[str, Tensor]:
    """Returns the leaves of a state by name."""
    leaves = keras.tree.flatten(state)
    return {f"state_{i}": x for i, x in enumerate(leaves)}


def export_step(
    model: Any,
    filepath: Any,
    file_format: str,
    batch_size: int,
    num_steps: int | None,
    **kwargs: Any,
) -> FilterStep:
    """Writes a model's filter, or its step, as a SavedModel or an ONNX file.

    Args:
        model: A built `LatentSequenceModel`.
        filepath: Folder, or file, to write.
        file_format: `"tf_saved_model"` or `"onnx"`.
        batch_size: Number of sequences.
        num_steps: Number of observations, or None; see `FilterStep`.
        **kwargs: Likewise for `keras.Model.export`.

    Raises:
        ValueError: Where Keras cannot write that format.
        ImportError: Where it needs a package that is not installed.
    """
    step = FilterStep(model, batch_size, num_steps)
    signature = {
        name: keras.layers.InputSpec(shape=shape, dtype=dtype, name=name)
        for name, (shape, dtype) in step.signature().items()
    }
    try:
        step.export(
            filepath, format=file_format, input_signature=[signature], **kwargs
        )
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(
            "Keras cannot export the step of this filter in that format on "
            f"{keras.backend.backend()} ({type(error).__name__}: "
            f"{str(error)[:200]}). Received: format={file_format!r}"
        ) from error
    if file_format == "onnx":
        tidy(filepath, step.output_ranks())
    return step
