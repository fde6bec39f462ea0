"""Samples and forecasts of what comes after given sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.axes import expand_rows, time_first
from keras_fivo.bounds import Bound
from keras_fivo.cells import LatentCell
from keras_fivo.inference.filtering import filter_sequences
from keras_fivo.inference.generation import (
    draw_generation_noise,
    draw_particles,
    fresh_rows,
    generate,
    generate_given,
)
from keras_fivo.seeds import stream
from keras_fivo.types import Tensor


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

    def rows(self, cell: LatentCell, num_samples: int, seed: Any) -> dict:
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
    cell: LatentCell,
    start: Start,
    num_steps: int,
    num_samples: int,
    seed: Any,
    controls: Tensor | None = None,
    levels: Sequence[float] | None = None,
    known: dict | None = None,
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
        known: As for `generate_given`; None: nothing is known ahead.

    Returns:
        A dict of `samples` `(batch, num_samples, time, ...)` and, with
        levels, the `means` and `quantiles` of a `Forecast`.
    """
    begin = start.rows(cell, num_samples, seed)
    rows = ops.shape(begin["step"])[0]
    samples_of = None if known is None else num_samples
    noise = draw_generation_noise(cell, num_steps, rows, seed, samples_of)
    if known is None:
        sampled = generate(cell, begin, noise, controls)
    else:
        given = (known, num_samples, controls)
        sampled = generate_given(cell, begin, noise, *given)
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


def by_sample(rows: Tensor, num_samples: int) -> Tensor:
    """Returns `(batch, samples, time, ...)`.

    Args:
        rows: `(time, batch * samples, ...)`.
        num_samples: Number of samples of each sequence.
    """
    shape = ops.shape(rows)
    parted = ops.reshape(rows, (shape[0], -1, num_samples, *shape[2:]))
    return ops.transpose(parted, (1, 2, 0, *range(3, len(parted.shape))))


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
    controls = ops.broadcast_to(controls, (batch, num_steps, size))
    return time_first(expand_rows(controls, num_samples))


def known_rows(known: Any, shape: tuple, num_samples: int) -> dict:
    """Returns what is known ahead as `generate_given` takes it.

    Args:
        known: Values by sequence and step, NaN where they are not known.
        shape: The shape that they must have.
        num_samples: Number of samples of each sequence.

    Raises:
        ValueError: If they have another shape, or are infinite.
    """
    values = np.asarray(known, "float32")
    if values.shape != shape:
        raise ValueError(
            f"`known` must have the shape {shape}, NaN where a value is not "
            f"known. Received: known of shape {values.shape}"
        )
    if np.isinf(values).any():
        raise ValueError(
            "`known` must be finite, or NaN where a value is not known. "
            "Received: known with infinite values"
        )
    mask = ~np.isnan(values)
    found = {"values": np.where(mask, values, 0), "mask": mask}
    return {
        name: time_first(np.repeat(x, num_samples, axis=0))
        for name, x in found.items()
    }
