"""A linear Gaussian chain with every irregularity, and its posterior."""

import numpy as np

import keras_fivo as kf
from tests.reference.dense_gaussian import Dense, parameters

STEPS, SIZE, FEATURES = 5, 2, 3
LENGTHS = np.array([5, 3, 1], "int32")
BATCH = len(LENGTHS)
PARTICLE_METHODS = [("ancestral", None), ("fixed_lag", 2), ("backward", None)]


def linear_gaussian(proposal="exact_filtering"):
    """A model of a linear Gaussian chain, and its parameters."""
    values = parameters(STEPS, SIZE, FEATURES, True)
    cell = kf.LinearGaussianCell(SIZE, values, proposal=proposal)
    made = kf.LatentSequenceModel(cell, seed=0)
    made.build((None, None, FEATURES))
    return made, values


def sequences(repeats=1):
    """Unequal lengths, missing steps and entries, junk where missing."""
    generator = np.random.default_rng(1)
    shape = (BATCH, STEPS, FEATURES)
    mask = np.arange(STEPS)[:, None] < LENGTHS[:, None, None]
    mask = np.repeat(mask, FEATURES, -1)
    mask[0, 2] = mask[0, 3, 0] = mask[1, 0, -1] = False
    observations = generator.standard_normal(shape).astype("float32")
    observations[~mask] = 1e3
    return {
        "observations": np.repeat(observations, repeats, 0),
        "mask": np.repeat(mask, repeats, 0),
        "lengths": np.repeat(LENGTHS, repeats, 0),
    }


def posteriors(values):
    """Exact mean and covariance of each sequence's latents, within it.

    Returns:
        Lists of `(length, size)` and `(length, size, length, size)`.
    """
    found = sequences()
    dense, means, covariances = Dense(values, STEPS), [], []
    for b, length in enumerate(LENGTHS):
        mean, cov = dense.posterior(found["observations"][b], found["mask"][b])
        cov = cov.reshape(STEPS, SIZE, STEPS, SIZE)
        means.append(mean.reshape(STEPS, SIZE)[:length])
        covariances.append(cov[:length, :, :length])
    return means, covariances
