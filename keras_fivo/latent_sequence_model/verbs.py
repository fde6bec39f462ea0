"""What users do with a model besides training it."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.bounds import FIVO, Bound, get_bound
from keras_fivo.inputs import as_dict, prepare_inputs, time_first
from keras_fivo.latent_sequence_model import checks, states
from keras_fivo.latent_sequence_model.generation import (
    Forecast,
    draw_generation_noise,
    draw_particles,
    generate,
)
from keras_fivo.latent_sequence_model.seeds import seed_generator
from keras_fivo.latent_sequence_model.smoothing import (
    Smoother,
    SmoothingResult,
    smooth,
)
from keras_fivo.lookup import key_of
from keras_fivo.smc import FilterResult
from keras_fivo.types import Tensor

_FIELDS = [field.name for field in fields(FilterResult)]


class Verbs:
    """`filter`, `smooth`, `log_evidence`, `step`, `sample`, `forecast`."""

    cell: Any
    filter_seed_generator: Any
    evaluation_bound: Bound
    nan_is_missing: bool
    _functions: dict
    built: bool
    _ensure_built: Any

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
            noise: As from `Bound.draw`; drawn if not given.
            state: The `state` of an earlier result, to go on from there.

        Returns:
            A `FilterResult`.

        Raises:
            ValueError: If a sequence goes on after steps that were left out.
        """
        chosen = self._chosen_bound(bound)
        data = checks.check_inputs(observations, self.cell, self.nan_is_missing)
        self._ensure_built(data)
        batch, num_steps = data["observations"].shape[:2]
        if noise is None:
            noise = chosen.draw(
                self.cell, num_steps, batch, self.filter_seed_generator
            )
        else:
            states.check_noise(noise, chosen, self.cell, num_steps, batch)
        fresh = chosen.initial_state(self.cell, batch)
        if state is None:
            state = fresh
        else:
            states.check_state(state, fresh)
            lengths = checks.lengths_of(data, self.nan_is_missing)
            states.check_no_gap(state, lengths)
        run = self._function(("filter", key_of(chosen)), self._filter(chosen))
        return FilterResult(**run(data, noise, state))

    def _filter(self, bound: Bound) -> Any:
        def run(data: dict, noise: dict, state: dict) -> dict:
            inputs = prepare_inputs(data, self.cell.center, self.nan_is_missing)
            noise = {
                name: value if name == "dropout" else time_first(value)
                for name, value in noise.items()
            }
            result = bound.run(self.cell, inputs, noise, state)
            return {name: getattr(result, name) for name in _FIELDS}

        return run

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
        """Latents given each whole sequence, p(z_t | x_1:T).

        Args:
            observations: As for the model.
            method: `"ancestral"`, for any cell; `"fixed_lag"`; `"backward"`;
                or `"exact"`; see `Smoother`.
            num_samples: Number of samples of each sequence.
            num_particles: Number of particles of the filter.
            lag: Of `"fixed_lag"`, the number of later steps to look at.
            bound: The filter in the place of `FIVO(num_particles)`.
            noise: As from `Smoother.draw`; drawn if not given.
            seed: Seed of the noise; None: the model's own.
        """
        bound = FIVO(num_particles) if bound is None else get_bound(bound)
        smoother = Smoother(self.cell, method, bound, lag)
        return smooth(self, smoother, observations, num_samples, noise, seed)

    def log_evidence(self, observations: Any, bound: Any = None) -> Tensor:
        """Estimate of log p(x_1:T), `(batch,)`, in nats.

        Args:
            observations: As for the model.
            bound: A bound or its name; None: `evaluation_bound`.
        """
        return self.filter(observations, bound).log_evidence

    def step(
        self,
        observation: Any,
        state: dict | None = None,
        noise: dict | None = None,
    ) -> tuple[dict, FilterResult]:
        """Filters one more observation of each sequence.

        Stepping through a sequence gives the same as filtering it whole, on
        the same noise.

        Args:
            observation: `(batch, features)`, or a dict of it as
                `observations` with `mask` `(batch,)` or `(batch, features)`
                and `controls` `(batch, controls)`.
            state: What the last step returned; None: the first step.
            noise: As from `Bound.draw`, for one time step.

        Returns:
            The new state, and a `FilterResult` of one time step whose
            `log_evidence` is that of all steps so far.

        Raises:
            ValueError: If the proposal or a twist looks at later
                observations.
        """
        if self.cell.twist is not None:
            raise ValueError(
                "A twist looks at later observations: a cell that has one "
                f"cannot stream. Received: twist={self.cell.twist!r}. Filter "
                "the whole sequence, or make the cell without a twist."
            )
        if self.cell.proposal.sees_future:
            raise ValueError(
                "A proposal that sees later observations cannot stream. "
                f"Received: proposal={self.cell.proposal!r}. Filter the "
                "whole sequence, or train with a filtering proposal."
            )
        data = {
            key: ops.expand_dims(ops.convert_to_tensor(value), 1)
            for key, value in as_dict(observation).items()
        }
        if "lengths" not in data:
            batch = data["observations"].shape[0]
            data["lengths"] = ops.ones((batch,), "int32")
        result = self.filter(data, noise=noise, state=state)
        return result.state, result

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
            num_samples: Number of samples (of each prefix).
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
        sampled, batch = self._generate(
            num_steps, num_samples, prefix, controls, num_particles, seed
        )
        samples = _by_sample(sampled["observations"], batch, num_samples)
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
    ) -> Forecast:
        """Samples, means and quantiles of what comes next.

        Args:
            observations: The past, as for the model.
            num_steps: Number of steps to forecast.
            num_samples: Number of samples of each sequence.
            quantiles: Levels in (0, 1).
            controls: Exogenous inputs to come, `(batch, num_steps,
                controls)`.
            num_particles: Number of particles that filter the past.
            seed: Seed; None: the model's own.
        """
        levels = tuple(float(level) for level in quantiles)
        if not all(0 < level < 1 for level in levels):
            raise ValueError(
                "`quantiles` must lie in (0, 1). "
                f"Received: quantiles={quantiles!r}"
            )
        sampled, batch = self._generate(
            num_steps, num_samples, observations, controls, num_particles, seed
        )
        samples = _by_sample(sampled["observations"], batch, num_samples)
        means = _by_sample(sampled["means"], batch, num_samples)
        return Forecast(
            samples=samples,
            means=ops.mean(means, axis=1),
            quantiles=ops.quantile(
                samples, ops.convert_to_tensor(levels, "float32"), axis=1
            ),
            levels=levels,
        )

    def _generate(
        self,
        num_steps: int,
        num_samples: int,
        prefix: Any,
        controls: Any,
        num_particles: int,
        seed: Any,
    ) -> tuple[dict, int]:
        num_steps = checks.check_count("num_steps", num_steps)
        num_samples = checks.check_count("num_samples", num_samples)
        seeds = (
            self.filter_seed_generator
            if seed is None
            else seed_generator(seed, "sample")
        )
        start, batch = self._start(prefix, num_samples, num_particles, seeds)
        rows = batch * num_samples
        noise = draw_generation_noise(self.cell, num_steps, rows, seeds)
        if controls is not None:
            controls = _control_rows(controls, batch, num_steps, num_samples)
        elif self.cell.control_dim:
            raise ValueError(
                "The model has exogenous inputs: `controls` must give those "
                f"of the {num_steps} steps to come. Received: controls=None"
            )
        run = self._function(
            ("generate",),
            lambda start, noise, controls: generate(
                self.cell, start, noise, controls
            ),
        )
        return run(start, noise, controls), batch

    def _start(
        self, prefix: Any, num_samples: int, num_particles: int, seeds: Any
    ) -> tuple[dict, int]:
        if prefix is None:
            if not self.built:
                raise ValueError(
                    "The model must be built before it can sample: fit it, "
                    "load it or call `model.build((None, None, features))`. "
                    "Received: a model without weights"
                )
            state = FIVO(1).initial_state(self.cell, num_samples)
            names = ("particles", "observed", "step")
            return {name: state[name] for name in names}, 1
        bound = FIVO(num_particles)
        batch, num_steps = checks.as_arrays(prefix)["observations"].shape[:2]
        checks.check_inputs(prefix, self.cell, self.nan_is_missing)
        noise = bound.draw(self.cell, num_steps, batch, seeds)
        state = self.filter(prefix, bound, noise).state
        uniforms = keras.random.uniform((batch, num_samples), seed=seeds)
        return draw_particles(state, num_samples, uniforms), batch

    def _chosen_bound(self, bound: Any) -> Bound:
        return self.evaluation_bound if bound is None else get_bound(bound)

    def _function(self, key: Any, function: Any) -> Any:
        if key not in self._functions:
            self._functions[key] = backend.compiled(function, self)
        return self._functions[key]


def _by_sample(rows: Tensor, batch: int, num_samples: int) -> Tensor:
    """`(time, batch * samples, ...)` to `(batch, samples, time, ...)`."""
    shape = ops.shape(rows)
    parted = ops.reshape(rows, (shape[0], batch, num_samples, *shape[2:]))
    return ops.transpose(parted, (1, 2, 0, *range(3, len(parted.shape))))


def _control_rows(
    controls: Any, batch: int, num_steps: int, num_samples: int
) -> Tensor:
    """Controls as `(time, batch * samples, controls)`."""
    controls = ops.cast(ops.convert_to_tensor(controls), "float32")
    if len(controls.shape) == 2:
        controls = controls[None]
    if controls.shape[0] not in (1, batch) or controls.shape[1] != num_steps:
        raise ValueError(
            f"`controls` must have the shape ({batch}, {num_steps}, size). "
            f"Received: controls of shape {tuple(controls.shape)}"
        )
    size = int(controls.shape[-1])
    wide = ops.broadcast_to(
        controls[:, None], (batch, num_samples, num_steps, size)
    )
    return ops.transpose(ops.reshape(wide, (-1, num_steps, size)), (1, 0, 2))
