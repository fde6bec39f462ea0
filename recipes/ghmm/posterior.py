"""What particles find of a chain, beside the exact answers."""

import dataclasses

import numpy as np
from keras import ops

import keras_fivo as kf


@dataclasses.dataclass(frozen=True)
class Band:
    """Marginals of one quantity by step, each `(steps,)`.

    Attributes:
        mean: Means, or medians.
        low: Two standard deviations below, or the 2.5 % quantile.
        high: Two standard deviations above, or the 97.5 % quantile.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _band(mean, deviation):
    mean = np.asarray(mean, "float64")
    return Band(mean, mean - 2 * deviation, mean + 2 * deviation)


def filtering(model, batch, num_particles, seed=0):
    """Returns p(z_t | x_1:t) of one sequence, by particles and exactly.

    Args:
        model: `keras_fivo.LatentSequenceModel` of a one-dimensional chain.
        batch: Observations of one sequence, as for the model.
        num_particles: Number of particles.
        seed: Seed of the noise.

    Returns:
        Two `Band`: of the particles, and exact.
    """
    bound = kf.FIVO(num_particles)
    steps = batch["observations"].shape[1]
    noise = bound.draw(model.cell, steps, 1, seed)
    result = model.filter(batch, bound, noise)
    log_weights = ops.convert_to_numpy(result.log_weights)[0]
    latents = ops.convert_to_numpy(result.latents)[0, :, :, 0]
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * latents).sum(axis=1)
    spread = (weights * np.square(latents - mean[:, None])).sum(axis=1)
    exact = model.cell.exact(batch)
    variance = ops.convert_to_numpy(exact.filtered_covariances)[0, :, 0, 0]
    return (
        _band(mean, np.sqrt(spread)),
        _band(
            ops.convert_to_numpy(exact.filtered_means)[0, :, 0],
            np.sqrt(variance),
        ),
    )


def smoothing(model, batch, method, num_particles, lag=None, seed=0):
    """Returns p(z_t | x_1:T) of one sequence, by one of the methods.

    Args:
        model: As for `filtering`.
        batch: As for `filtering`.
        method: str. As for `keras_fivo.LatentSequenceModel.smooth`.
        num_particles: Number of particles.
        lag: Number of later steps that `"fixed_lag"` looks at.
        seed: Seed of the noise.

    Returns:
        A `Band`, and sampled latents `(samples, steps)`: whole paths but for
        `"fixed_lag"`.
    """
    found = model.smooth(
        batch,
        method=method,
        num_samples=100,
        num_particles=num_particles,
        lag=lag if method == "fixed_lag" else None,
        seed=seed,
    )
    band = _band(
        ops.convert_to_numpy(found.means)[0, :, 0],
        ops.convert_to_numpy(found.standard_deviations)[0, :, 0],
    )
    return band, ops.convert_to_numpy(found.samples)[0, :, :, 0]


def forecast(model, batch, num_steps, num_samples, num_particles, seed=0):
    """Returns p(x_T+1, ... | x_1:T) of one sequence, by samples and exactly.

    Args:
        model: As for `filtering`.
        batch: As for `filtering`.
        num_steps: int. Steps to forecast.
        num_samples: Number of samples.
        num_particles: Number of particles that read the sequence.
        seed: Seed of the noise.

    Returns:
        Two `Band`, of the samples and exact, and the samples `(samples,
        num_steps)`.
    """
    found = model.forecast(
        batch,
        num_steps,
        num_samples=num_samples,
        quantiles=(0.025, 0.5, 0.975),
        num_particles=num_particles,
        seed=seed,
    )
    low, middle, high = ops.convert_to_numpy(found.quantiles)[:, 0, :, 0]
    exact = kf.linear_gaussian.forecast(
        model.cell.chain(),
        batch["observations"],
        num_steps,
        batch.get("mask"),
    )
    return (
        Band(middle, low, high),
        _exact_band(exact),
        ops.convert_to_numpy(found.samples)[0, :, :, 0],
    )


def prior(model, num_steps, num_samples, seed=0):
    """Returns p(x_1, ...) before anything is observed, by samples and exactly.

    Args:
        model: As for `filtering`.
        num_steps: Number of steps.
        num_samples: Number of samples.
        seed: Seed of the noise.

    Returns:
        As `forecast`.
    """
    samples = model.sample(num_steps, num_samples=num_samples, seed=seed)
    samples = ops.convert_to_numpy(samples)[:, :, 0]
    low, middle, high = np.quantile(samples, (0.025, 0.5, 0.975), axis=0)
    exact = kf.linear_gaussian.forecast(
        model.cell.chain(),
        np.zeros((1, 1, 1), "float32"),
        num_steps,
        lengths=np.zeros(1, "int32"),
    )
    return Band(middle, low, high), _exact_band(exact), samples


def _exact_band(exact):
    variance = ops.convert_to_numpy(exact.covariances)[0, :, 0, 0]
    return _band(ops.convert_to_numpy(exact.means)[0, :, 0], np.sqrt(variance))
