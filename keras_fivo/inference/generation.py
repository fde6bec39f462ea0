"""Sampling from a cell, on its own or from a filter's state."""

from functools import partial
from typing import Any

from keras import ops

from keras_fivo import backend
from keras_fivo.axes import expand_rows, like_rows
from keras_fivo.bounds import FIVO
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import fill_missing
from keras_fivo.noise import Noise, Source
from keras_fivo.smc.criteria import EffectiveSampleSize
from keras_fivo.smc.resampling import (
    Multinomial,
    Systematic,
    gather_particles,
)
from keras_fivo.smc.weights import log_sum_exp
from keras_fivo.types import Nested, Tensor


def fresh_rows(cell: LatentCell, rows: int) -> dict:
    """Returns rows before their first step, as `draw_particles` does."""
    state = FIVO(1).initial_state(cell, rows)
    return {name: state[name] for name in ("particles", "observed", "step")}


def draw_generation_noise(
    cell: LatentCell,
    num_steps: int,
    rows: int,
    seed: Any,
    num_samples: int | None = None,
) -> Noise:
    """Draws all random numbers of `generate`, or of `generate_given`.

    Args:
        cell: Built `LatentCell`.
        num_steps: Number of steps.
        rows: Number of rows.
        seed: Seed, or seed generator.
        num_samples: Number of samples of each sequence, for `generate_given`.
    """
    lead = (num_steps, rows)
    sources = {
        "latent": Source.of(cell.noise, *lead, *cell.noise_shape),
        "emission": Source.of(
            cell.emission_noise, *lead, *cell.emission_noise_shape
        ),
    }
    if num_samples is not None:
        sources["resampling"] = Source.of(
            "uniform", num_steps, rows // num_samples, 1
        )
    return Noise.draw(sources, seed)


def draw_particles(state: dict, num_samples: int, uniforms: Tensor) -> dict:
    """Draws samples of each sequence's particles by weight, as rows.

    Args:
        state: The `state` of a `FilterResult`.
        num_samples: Number of samples of each sequence.
        uniforms: `(batch, num_samples)`.

    Returns:
        A dict of `particles`, `observed`, `step` and `alive`, whether any
        particle of the sequence is, with rows `(batch * num_samples, ...)`.
    """
    ancestors = Multinomial().ancestors(state["log_weights"], uniforms)
    shared = {name: state[name] for name in ("observed", "step")}
    shared["alive"] = _any_alive(state["log_weights"])
    return {
        "particles": gather_particles(state["particles"], ancestors),
        **expand_rows(shared, num_samples),
    }


def generate(
    cell: LatentCell,
    start: dict,
    noise: Noise,
    controls: Tensor | None = None,
    observed: Tensor | None = None,
) -> dict:
    """Runs the model forward, feeding it what it samples.

    Args:
        cell: A built `LatentCell`.
        start: As from `draw_particles`; `alive` may be missing.
        noise: As from `draw_generation_noise`.
        controls: `(time, rows, controls)`, exogenous inputs.
        observed: Bool `(time, rows[, features])`; where it is False the
            centre stands for what is sampled, as in a filter for what is
            missing. None: all is observed.

    Returns:
        A dict of `observations`, `means` and `latents`, `(time, rows, ...)`,
        NaN in rows that are not alive.
    """
    start = dict(start)
    alive = start.pop("alive", None)
    scanned: dict = {"noise": noise.present("latent", "emission")}
    if controls is not None:
        scanned["controls"] = controls
    if observed is not None:
        scanned["observed"] = observed
    step = partial(_generate_once, cell)
    _, sampled = backend.scan(step, start, scanned)
    return sampled if alive is None else _of_living(sampled, alive)


def generate_given(
    cell: LatentCell,
    start: dict,
    noise: Noise,
    known: dict,
    num_samples: int,
    controls: Tensor | None = None,
) -> dict:
    """Runs the model forward, given some entries of what comes.

    The samples of a sequence are the particles of a filter that draws latents
    from the transition and what is not known from the emission, weighs by the
    density of what is known, and resamples where the effective sample size is
    low, and at the end. What comes back are the paths of those that remain,
    all of the same weight.

    Args:
        cell: A built `LatentCell`.
        start: As from `draw_particles`.
        noise: As from `draw_generation_noise`, of that many samples.
        known: A dict of `values` `(time, rows, ...)`, finite throughout, and
            `mask`, bool of that shape, where they are known.
        num_samples: Number of samples of each sequence.
        controls: `(time, rows, controls)`, exogenous inputs.

    Returns:
        As from `generate`; NaN too where all samples contradict what is known.
    """
    start = dict(start)
    alive = start.pop("alive", True)
    begin = ops.zeros_like(ops.cast(start["step"], "float32"))
    carry = {**start, "log_weights": ops.reshape(begin, (-1, num_samples))}
    num_steps = int(known["mask"].shape[0])
    scanned = {
        "noise": noise.present("latent", "emission"),
        "known": (known["values"], known["mask"]),
        "resampling": noise.resampling,
        "last": ops.arange(num_steps) == num_steps - 1,
    }
    if controls is not None:
        scanned["controls"] = controls

    def step(carry: dict, now: dict) -> tuple[dict, Nested]:
        before = carry["log_weights"]
        carry, sampled = _generate_once(cell, carry, now)
        log_known = ops.reshape(sampled.pop("log_known"), (-1, num_samples))
        log_weights = before + log_known
        resample = EffectiveSampleSize()(log_weights, carry["step"])
        resample = (resample | now["last"]) & _any_alive(log_weights)
        moved = {name: carry[name] for name in ("particles", "observed")}
        moved, sampled["ancestors"] = Systematic()(
            moved, log_weights, now["resampling"], resample
        )
        log_weights = ops.where(resample[:, None], 0.0, log_weights)
        return {**carry, **moved, "log_weights": log_weights}, sampled

    last, sampled = backend.scan(step, carry, scanned)
    possible = expand_rows(_any_alive(last["log_weights"]), num_samples)
    return _of_living(_paths(sampled), alive & possible)


def _generate_once(
    cell: LatentCell, carry: dict, now: dict
) -> tuple[dict, dict]:
    """Samples one step of each row, and lets the cell observe it."""
    extra = now.get("controls")
    past = cell.past_features(carry["observed"], extra)
    given = (carry["particles"], past, carry["step"], now["noise"])
    sampled, particles = cell.generate(*given, now.get("known"))
    active = ops.ones_like(carry["step"], dtype="bool")
    seen = now.get("observed", active)
    sampled["observations"] = fill_missing(
        sampled["observations"], seen, cell.center
    )
    inputs = {
        "observations": sampled["observations"][None],
        "observed": seen[None],
        "active": active[None],
    }
    if extra is not None:
        inputs["controls"] = extra[None]
    _, _, after = cell.encode(inputs, carry["observed"])
    carry = {
        "particles": particles,
        "observed": after,
        "step": carry["step"] + 1,
    }
    return carry, sampled


def _paths(sampled: dict) -> dict:
    """Returns values of each last sample's ancestors, `(time, rows, ...)`."""
    ancestors = sampled.pop("ancestors")
    index = ops.zeros_like(ancestors[0]) + ops.arange(
        int(ancestors.shape[-1]), dtype="int32"
    )

    def step(index: Tensor, now: dict) -> tuple[Tensor, Nested]:
        # (batch, samples), among those of this step.
        index = ops.take_along_axis(now["ancestors"], index, axis=1)
        return index, gather_particles(now["values"], index)

    scanned = {"ancestors": ancestors, "values": sampled}
    paths: dict = backend.scan(step, index, scanned, reverse=True)[1]
    return paths


def _any_alive(log_weights: Tensor) -> Tensor:
    """Tells whether any particle of a sequence is possible, bool `(batch,)`."""
    return log_sum_exp(log_weights) > -float("inf")


def _of_living(values: dict, alive: Tensor) -> dict:
    """Puts NaN in rows of `(time, rows, ...)` that are not alive."""
    return {
        name: ops.where(like_rows(alive[None], x), x, float("nan"))
        for name, x in values.items()
    }
