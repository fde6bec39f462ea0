"""Samples and forecasts of what linear Gaussian models bring."""

from dataclasses import dataclass

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import batch_first, time_first
from keras_fivo.linear_gaussian.chain import LinearGaussian
from keras_fivo.linear_gaussian.filtering import filter_steps, observed_entries
from keras_fivo.linear_gaussian.linear_algebra import (
    each_times,
    matvec,
    square,
)
from keras_fivo.types import Tensor


@dataclass(frozen=True)
class ExactForecast:
    """Marginals of the future of each sequence; exact up to rounding.

    Attributes:
        latent_means: `(batch, num_steps, latent_dim)`.
        latent_covariances: `(batch, num_steps, latent_dim, latent_dim)`.
        means: `(batch, num_steps, features)`. Of the observations.
        covariances: `(batch, num_steps, features, features)`.
    """

    latent_means: Tensor
    latent_covariances: Tensor
    means: Tensor
    covariances: Tensor


def sample_prior(
    model: LinearGaussian, latent_noise: Tensor, emission_noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Samples latents and observations from the model.

    Args:
        model: The parameters.
        latent_noise: `(batch, time, samples, latent_dim)`, standard Normal.
        emission_noise: `(batch, time, samples, features)`, likewise.

    Returns:
        Latents and observations, of the shapes of their noises.
    """
    latent_noise, emission_noise = (
        time_first(ops.convert_to_tensor(x, keras.config.floatx()))
        for x in (latent_noise, emission_noise)
    )
    steps = model.steps(int(latent_noise.shape[0]))
    noise = each_times(steps["transition_factor"], latent_noise)

    def step(latent: Tensor, now: dict) -> tuple[Tensor, Tensor]:
        latent = each_times(now["matrix"], latent) + now["shift"]
        return latent, latent

    shift = noise + ops.expand_dims(steps["transition_offset"], 2)
    inputs = {"matrix": steps["transition_matrix"], "shift": shift}
    _, latents = backend.scan(step, ops.zeros_like(shift[0]), inputs)
    observations = (
        each_times(steps["emission_matrix"], latents)
        + ops.expand_dims(steps["emission_offset"], 2)
        + each_times(steps["emission_factor"], emission_noise)
    )
    return batch_first(latents), batch_first(observations)


def forecast(
    model: LinearGaussian,
    observations: Tensor,
    num_steps: int,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
) -> ExactForecast:
    """Returns marginals of the steps after each sequence's own last one.

    Args:
        model: The parameters; per-step ones reach into the future, or stay
            as they are in their last entry.
        observations: `(batch, time, features)`; any value where missing.
        num_steps: Number of steps to forecast.
        mask: Bool `(batch, time)` or `(batch, time, features)`, True =
            observed.
        lengths: Int `(batch,)`; by default all of the time axis.

    Returns:
        An `ExactForecast`.
    """
    observations, observed = observed_entries(observations, mask)
    total, batch, features = ops.shape(observations)
    if lengths is None:
        lengths = ops.full((batch,), total, "int32")
    lengths = ops.cast(ops.convert_to_tensor(lengths), "int32")
    inside = ops.arange(total, dtype="int32")[:, None] < lengths
    observed = ops.logical_and(observed, ops.expand_dims(inside, -1))
    future = (num_steps, batch, features)
    steps = model.steps(total + num_steps)
    found = filter_steps(
        steps,
        ops.concatenate([observations, ops.zeros(future)], axis=0),
        ops.concatenate([observed, ops.zeros(future, "bool")], axis=0),
    )
    index = ops.arange(num_steps, dtype="int32")[:, None] + lengths

    def own(x: Tensor) -> Tensor:
        wide = ops.broadcast_to(
            x, (total + num_steps, batch, *ops.shape(x)[2:])
        )
        shape = (num_steps, batch) + (1,) * (len(x.shape) - 2)
        chosen = ops.take_along_axis(wide, ops.reshape(index, shape), axis=0)
        return batch_first(chosen)

    means, roots = found["means"], found["roots"]
    matrix = steps["emission_matrix"]
    observation_covariances = square(ops.matmul(matrix, roots)) + square(
        steps["emission_factor"]
    )
    return ExactForecast(
        latent_means=own(means),
        latent_covariances=own(square(roots)),
        means=own(matvec(matrix, means) + steps["emission_offset"]),
        covariances=own(observation_covariances),
    )
