"""Sampling from a cell, on its own or from a filter's state."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.smc.particle_filter import expand_rows
from keras_fivo.smc.resampling import Multinomial, gather_particles
from keras_fivo.smc.weights import log_sum_exp
from keras_fivo.types import Nested, Tensor


@dataclass(frozen=True)
class Forecast:
    """What may come next; NaN for a sequence all of whose particles died.

    Attributes:
        samples: `(batch, num_samples, num_steps, features)`.
        means: `(batch, num_steps, features)`. Mean over samples of the
            emission's means.
        quantiles: `(num_quantiles, batch, num_steps, features)`. Quantiles
            of the samples, by entry.
        levels: The levels of the quantiles, each in (0, 1).
    """

    samples: Tensor
    means: Tensor
    quantiles: Tensor
    levels: tuple[float, ...]


def draw_generation_noise(
    cell: Any, num_steps: int, rows: int, seed: Any
) -> dict:
    """All random numbers of `generate`, time first."""
    draw = getattr(keras.random, cell.noise)
    latent = draw((num_steps, rows, *cell.noise_shape), seed=seed)
    shape = (num_steps, rows, *cell.emission_noise_shape)
    emission = getattr(keras.random, cell.emission_noise)(shape, seed=seed)
    return {"latent": latent, "emission": emission}


def draw_particles(state: dict, num_samples: int, uniforms: Tensor) -> dict:
    """Samples of each sequence's particles by their weights, as rows.

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
    shared["alive"] = log_sum_exp(state["log_weights"]) > -float("inf")
    return {
        "particles": gather_particles(state["particles"], ancestors),
        **expand_rows(shared, num_samples),
    }


def generate(
    cell: Any, start: dict, noise: dict, controls: Tensor | None = None
) -> dict:
    """Runs the model forward, feeding it what it samples.

    Args:
        cell: A built `LatentCell`.
        start: As from `draw_particles`; `alive` may be missing.
        noise: As from `draw_generation_noise`.
        controls: `(time, rows, controls)`, exogenous inputs.

    Returns:
        A dict of `observations`, `means` and `latents`, `(time, rows, ...)`,
        NaN in rows that are not alive.
    """
    start = dict(start)
    alive = start.pop("alive", None)
    scanned: dict = {"noise": noise}
    if controls is not None:
        scanned["controls"] = controls

    def step(carry: dict, now: dict) -> tuple[dict, Nested]:
        extra = now.get("controls")
        past = cell.past_features(carry["observed"], extra)
        sampled, particles = cell.generate(
            carry["particles"], past, carry["step"], now["noise"]
        )
        active = ops.ones_like(carry["step"], dtype="bool")[None]
        inputs = {
            "observations": sampled["observations"][None],
            "observed": active,
            "active": active,
        }
        if extra is not None:
            inputs["controls"] = extra[None]
        _, _, observed = cell.encode(inputs, carry["observed"])
        carry = {
            "particles": particles,
            "observed": observed,
            "step": carry["step"] + 1,
        }
        return carry, sampled

    _, sampled = backend.scan(step, start, scanned)
    if alive is None:
        return sampled
    return {name: _of_living(x, alive) for name, x in sampled.items()}


def _of_living(values: Tensor, alive: Tensor) -> Tensor:
    rows = ops.reshape(alive, (1, -1) + (1,) * (len(values.shape) - 2))
    return ops.where(rows, values, float("nan"))
