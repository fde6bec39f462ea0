"""One scan: ELBO, IWAE and FIVO are settings of this particle filter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import (
    batch_first,
    expand_rows,
    flatten_rows,
    like_rows,
    zero_beyond,
)
from keras_fivo.noise import Noise
from keras_fivo.smc.criteria import Criterion, Never
from keras_fivo.smc.resampling import ResamplingScheme
from keras_fivo.smc.weights import effective_sample_size, log_mean_exp
from keras_fivo.types import Nested, StepResult, Tensor


class StateSpaceModel(Protocol):
    """What the filter asks of a model; all tensors are rows of particles."""

    def call(self, inputs: dict, states: Nested) -> tuple[StepResult, Nested]:
        """Takes one step; returns what it gives, and the new states."""

    def weigh(self, inputs: dict, emitted: Nested) -> Tensor:
        """Returns log p(x_t | z_t, ...), `(rows,)`, of any number of steps."""


@dataclass(frozen=True)
class FilterResult:
    """What a particle filter found. Log-values are in nats.

    `log_weights` and `latents` are those before resampling; log-weights have
    been added up since the last resampling.

    Attributes:
        log_evidence: `(batch,)`. Estimate of log p(x_1:T); with resampling
            schemes that choose ancestors, or without resampling, its mean is
            a lower bound. -inf where all particles died.
        log_weights: `(batch, time, particles)`. Log-weights.
        effective_sample_size: `(batch, time)`.
        resampled: Bool `(batch, time)`. Whether particles were resampled
            after the step.
        kl: `(batch,)`. Analytic KL(q || p) of the latents, summed over time
            and averaged over particles; NaN where it has no closed form.
        lengths: Int32 `(batch,)`. Number of steps that count.
        active: Bool `(batch, time)`. Which steps count.
        latents: `(batch, time, particles, latent_dim)`, or None if not kept.
        ancestors: Int32 `(batch, time, particles)`: the particle before
            resampling that each one after it descends from; for relaxed
            resampling, the blend `(batch, time, particles, particles)`;
            None if not kept.
        state: What resumes the filter after the last step.
        log_twist: `(batch, time, particles)`. log r_t of a cell with a
            twist; None without, or if not kept. Log-weights, and with them
            effective sample sizes, are those of the model: r is taken out.
            The criterion decides by `log_weights + log_twist`.
        free_energies: `(batch, time, particles, num_iterations + 1)`.
            Estimates of -log p(x_t | past) + KL(q || p(z_t | x_t, past)), of
            an iterative proposal before its first refinement and after each;
            zero where nothing is observed; None with other proposals.
    """

    log_evidence: Tensor
    log_weights: Tensor
    effective_sample_size: Tensor
    resampled: Tensor
    kl: Tensor
    lengths: Tensor
    active: Tensor
    latents: Tensor | None
    ancestors: Tensor | None
    state: dict
    log_twist: Tensor | None = None
    free_energies: Tensor | None = None


def particle_filter(
    model: StateSpaceModel,
    state: dict,
    inputs: dict,
    noise: Noise,
    *,
    num_particles: int,
    scheme: ResamplingScheme,
    criterion: Criterion,
    average: Callable[[Tensor], Tensor] = log_mean_exp,
    keep_paths: bool = True,
    keep_state: bool = True,
) -> FilterResult:
    """Filters a batch of sequences with `num_particles` particles each.

    Args:
        model: Proposes and weighs; see `StateSpaceModel`.
        state: Dict of `particles`, nested `(batch * num_particles, ...)`,
            `log_weights` `(batch, num_particles)`, `log_evidence` `(batch,)`,
            and `learner`, where the model has one.
        inputs: Dict of `model`, nested `(time, batch, ...)`, `active`, bool
            `(time, batch)`, and `step`, int32 `(time, batch)`.
        noise: What the model draws from, `latent` and where it takes any
            `proposal`; and, unless the criterion is `Never`, `resampling`.
        num_particles: Number of particles of each sequence.
        scheme: How to resample.
        criterion: When to resample.
        average: Log-weights `(batch, particles)` to the last term of the log
            evidence `(batch,)`.
        keep_paths: Whether latents and ancestors are returned.
        keep_state: Whether a sequence's particles stay as they were at its
            own last step. If not, they begin anew there, which is quicker;
            the state is of use only where all sequences are equally long.

    Returns:
        A `FilterResult`, batch first.
    """
    step = _Step(
        model,
        num_particles,
        scheme,
        criterion,
        average,
        keep_paths,
        None
        if keep_state
        else keras.tree.map_structure(ops.stop_gradient, state["particles"]),
    )
    scanned = {
        "model": inputs["model"],
        "active": inputs["active"],
        "step": inputs["step"],
        "noise": noise.present("latent", "proposal"),
    }
    if not step.never:
        scanned["resampling"] = noise.resampling
    final, kept = backend.scan(step, state, scanned)
    if step.defers:
        final, kept["log_weights"] = _weigh_all(
            model, state, final, kept, inputs, num_particles
        )
    return _result(final, kept, inputs, num_particles, average)


@dataclass(frozen=True, eq=False)
class _Step:
    """One step of the filter, with the settings of a run."""

    model: StateSpaceModel
    num_particles: int
    scheme: ResamplingScheme
    criterion: Criterion
    average: Callable[[Tensor], Tensor]
    keep_paths: bool
    start: Nested | None
    """What particles are beyond their sequence's end; None: what they were.

    Running on they could overflow, and their NaN reach the gradient of all.
    """

    @property
    def never(self) -> bool:
        """Whether no step resamples."""
        return isinstance(self.criterion, Never)

    @property
    def defers(self) -> bool:
        """Whether log p(x_t | z_t) of all steps is computed after the scan.

        Many particles would take much memory at once, and gain little.
        """
        return self.never and not self.keep_paths and self.num_particles <= 32

    def __call__(self, carry: dict, now: dict) -> tuple[dict, dict]:
        """Proposes, weighs and resamples; returns the carry and what is kept.

        Args:
            carry: The state of the filter.
            now: Inputs and noise of the step, `(batch, ...)`.
        """
        # (batch, ...) and (batch, particles, ...) -> (rows, ...)
        rows = expand_rows(now["model"], self.num_particles)
        rows["noise"] = flatten_rows(now["noise"])
        if "learner" in carry:
            rows["learner"] = carry["learner"]
        result, particles = self.model.call(rows, carry["particles"])
        # log w_t = log w_{t-1} + log p(z_t) - log q(z_t) + log p(x_t | z_t)
        increment = result.log_ratio
        if not self.defers:
            increment = increment + result.log_emission
        increment = self._of_active(now, increment)
        log_weights = carry["log_weights"] + increment
        ended = carry["particles"] if self.start is None else self.start
        particles = _choose_rows(
            now["active"], particles, ended, self.num_particles
        )
        new = {**carry, "particles": particles, "log_weights": log_weights}
        if "learner" in carry:
            new["learner"] = result.learner
        kept = {
            "kl": self._of_active(now, ops.stop_gradient(result.kl)),
            "log_weights": log_weights,
        }
        if result.log_twist is not None:
            kept["log_twist"] = self._of_active(now, result.log_twist)
        if result.free_energies is not None:
            # (rows, evaluations) -> (batch, particles, evaluations)
            energies = result.free_energies
            sizes = (-1, self.num_particles, energies.shape[-1])
            energies = ops.reshape(energies, sizes)
            kept["free_energies"] = zero_beyond(now["active"], energies)
        if self.keep_paths:
            kept["latents"] = result.latent
        if self.defers:
            kept["increment"], kept["emitted"] = increment, result.emitted
            del kept["log_weights"]
        if not self.never:
            new, ancestors, kept["resampled"] = _resample(
                new, now, self.scheme, self.criterion, self.average
            )
            if self.keep_paths:
                kept["ancestors"] = ancestors
        return new, kept

    def _of_active(self, now: dict, rows: Tensor) -> Tensor:
        """Returns `(batch, particles)`, zero where the step does not count."""
        # (rows,) -> (batch, particles)
        values = ops.reshape(rows, (-1, self.num_particles))
        return zero_beyond(now["active"], values)


def _resample(
    carry: dict,
    now: dict,
    scheme: ResamplingScheme,
    criterion: Criterion,
    average: Callable[[Tensor], Tensor],
) -> tuple[dict, Tensor, Tensor]:
    log_weights = carry["log_weights"]
    mean = average(log_weights)
    resample = (
        criterion(ops.stop_gradient(log_weights), now["step"])
        & now["active"]
        & (mean > -float("inf"))
    )
    particles, ancestors = scheme(
        carry["particles"], log_weights, now["resampling"], resample
    )
    gain = ops.where(resample, mean, ops.zeros_like(mean))
    log_weights = ops.where(
        ops.expand_dims(resample, -1), ops.zeros_like(log_weights), log_weights
    )
    carry = {
        **carry,
        "particles": particles,
        "log_weights": log_weights,
        "log_evidence": carry["log_evidence"] + gain,
    }
    return carry, ancestors, resample


def _weigh_all(
    model: StateSpaceModel,
    state: dict,
    final: dict,
    kept: dict,
    inputs: dict,
    num_particles: int,
) -> tuple[dict, Tensor]:
    """Adds log p(x_t | z_t) of all steps at once, as no step resamples."""
    # (time, batch * particles, ...) -> (time * batch * particles, ...)
    merged = flatten_rows(kept["emitted"])
    rows = expand_rows(flatten_rows(inputs["model"]), num_particles)
    shape = ops.shape(kept["increment"])
    increments = ops.reshape(model.weigh(rows, merged), shape)
    increments = kept["increment"] + zero_beyond(inputs["active"], increments)
    log_weights = state["log_weights"] + ops.cumsum(
        ops.stop_gradient(increments), axis=0
    )
    final = {
        **final,
        "log_weights": state["log_weights"] + ops.sum(increments, axis=0),
    }
    return final, log_weights


def _result(
    final: dict,
    kept: dict,
    inputs: dict,
    num_particles: int,
    average: Callable[[Tensor], Tensor],
) -> FilterResult:
    active = inputs["active"]
    log_weights = ops.stop_gradient(kept["log_weights"])
    log_twist = kept.get("log_twist")
    if log_twist is not None:
        log_twist = ops.stop_gradient(log_twist)
        log_weights = log_weights - log_twist
    latents = kept.get("latents")
    if latents is not None:
        shape = ops.shape(latents)
        latents = ops.reshape(
            latents, (shape[0], -1, num_particles, *shape[2:])
        )
    resampled = kept.get("resampled")
    ancestors = kept.get("ancestors")
    energies = kept.get("free_energies")
    return FilterResult(
        log_evidence=final["log_evidence"] + average(final["log_weights"]),
        log_weights=batch_first(log_weights),
        effective_sample_size=batch_first(effective_sample_size(log_weights)),
        resampled=batch_first(
            ops.zeros_like(active) if resampled is None else resampled
        ),
        kl=ops.sum(ops.mean(kept["kl"], axis=-1), axis=0),
        lengths=ops.sum(ops.cast(active, "int32"), axis=0),
        active=batch_first(active),
        latents=None if latents is None else batch_first(latents),
        ancestors=None if ancestors is None else batch_first(ancestors),
        state=final,
        log_twist=None if log_twist is None else batch_first(log_twist),
        free_energies=None if energies is None else batch_first(energies),
    )


def _choose_rows(
    active: Tensor, particles: Nested, ended: Nested, num_particles: int
) -> Nested:
    rows = expand_rows(active, num_particles)

    def choose(new: Tensor, other: Tensor) -> Tensor:
        return ops.where(like_rows(rows, new), new, other)

    return keras.tree.map_structure(choose, particles, ended)
