"""Sampling from a cell, on its own or from a filter's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import expand_rows, like_rows
from keras_fivo.bounds import FIVO, Bound
from keras_fivo.inference.filtering import filter_sequences
from keras_fivo.inputs import fill_missing
from keras_fivo.noise import Noise, Source
from keras_fivo.seeds import stream
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


@dataclass(frozen=True)
class Start:
    """Where samples begin: anew, or after given sequences.

    Attributes:
        bound: Filter of the sequences.
        data: Sequences, as for `filter_sequences`; None: none.
        nan_is_missing: Whether NaN stands for a missing entry.
    """

    bound: Bound
    data: dict | None = None
    nan_is_missing: bool = False

    def rows(self, cell: Any, num_samples: int, seed: Any) -> dict:
        """Draws the rows to go on from, `num_samples` of each sequence.

        Args:
            cell: Built `LatentCell`.
            num_samples: Number of samples of each sequence.
            seed: Seed, or seed generator.
        """
        if self.data is None:
            return fresh_rows(cell, num_samples)
        state = filter_sequences(
            cell,
            self.bound,
            self.data,
            seed=stream(seed, "filter"),
            nan_is_missing=self.nan_is_missing,
        ).state
        batch = ops.shape(state["step"])[0]
        uniforms = keras.random.uniform(
            (batch, num_samples), seed=stream(seed, "particles")
        )
        return draw_particles(state, num_samples, uniforms)


def sample_paths(
    cell: Any,
    start: Start,
    num_steps: int,
    num_samples: int,
    seed: Any,
    controls: Tensor | None = None,
    levels: Sequence[float] | None = None,
) -> dict:
    """Samples what comes next, and summarizes it if asked to.

    Args:
        cell: Built `LatentCell`.
        start: Where to begin.
        num_steps: Number of steps to sample.
        num_samples: Number of samples of each sequence.
        seed: Seed, or seed generator.
        controls: `(time, rows, controls)`, exogenous inputs.
        levels: Levels of quantiles, in (0, 1); None: samples alone.

    Returns:
        A dict of `samples` `(batch, num_samples, time, ...)` and, with
        levels, the `means` and `quantiles` of a `Forecast`.
    """
    begin = start.rows(cell, num_samples, seed)
    rows = ops.shape(begin["step"])[0]
    noise = draw_generation_noise(cell, num_steps, rows, seed)
    sampled = generate(cell, begin, noise, controls)
    samples = by_sample(sampled["observations"], num_samples)
    if levels is None:
        return {"samples": samples}
    means = by_sample(sampled["means"], num_samples)
    return {
        "samples": samples,
        "means": ops.mean(means, axis=1),
        "quantiles": ops.quantile(
            samples, ops.convert_to_tensor(levels, "float32"), axis=1
        ),
    }


def fresh_rows(cell: Any, rows: int) -> dict:
    """Returns rows before their first step, as `draw_particles` does."""
    state = FIVO(1).initial_state(cell, rows)
    return {name: state[name] for name in ("particles", "observed", "step")}


def by_sample(rows: Tensor, num_samples: int) -> Tensor:
    """Returns `(batch, samples, time, ...)`.

    Args:
        rows: `(time, batch * samples, ...)`.
        num_samples: Number of samples of each sequence.
    """
    shape = ops.shape(rows)
    parted = ops.reshape(rows, (shape[0], -1, num_samples, *shape[2:]))
    return ops.transpose(parted, (1, 2, 0, *range(3, len(parted.shape))))


def draw_generation_noise(
    cell: Any, num_steps: int, rows: int, seed: Any
) -> Noise:
    """Draws all random numbers of `generate`."""
    lead = (num_steps, rows)
    sources = {
        "latent": Source.of(cell.noise, *lead, *cell.noise_shape),
        "emission": Source.of(
            cell.emission_noise, *lead, *cell.emission_noise_shape
        ),
    }
    return Noise.draw(sources, seed)


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
    cell: Any,
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

    def step(carry: dict, now: dict) -> tuple[dict, Nested]:
        extra = now.get("controls")
        past = cell.past_features(carry["observed"], extra)
        sampled, particles = cell.generate(
            carry["particles"], past, carry["step"], now["noise"]
        )
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

    _, sampled = backend.scan(step, start, scanned)
    if alive is None:
        return sampled
    return {name: _of_living(x, alive) for name, x in sampled.items()}


def _of_living(values: Tensor, alive: Tensor) -> Tensor:
    return ops.where(like_rows(alive[None], values), values, float("nan"))


def control_rows(
    controls: Any, batch: int, num_steps: int, num_samples: int
) -> Tensor:
    """Returns exogenous inputs as `(time, batch * samples, controls)`.

    Args:
        controls: `(time, controls)` or `(batch, time, controls)`.
        batch: Number of sequences.
        num_steps: Number of steps that they must have.
        num_samples: Number of samples of each sequence.

    Raises:
        ValueError: If they have another shape.
    """
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
