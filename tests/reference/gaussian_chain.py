"""A linear Gaussian chain as a cell, and its exact answers in NumPy."""

import keras
import numpy as np
from keras import ops

import keras_fivo as kf

START, DECAY, STEP, WEIGHT, NOISE = 1.2, 0.8, 0.7, 1.5, 0.9


@keras.saving.register_keras_serializable(package="tests")
class GaussianChain(kf.LatentCell):
    """z_1 ~ N(0.5, START^2); z_t ~ N(DECAY z_{t-1}, STEP^2);
    x_t ~ N(WEIGHT z_t, NOISE^2): three densities and nothing else."""

    def initial_distribution(self, past):
        one = ops.ones((1, self.latent_dim))  # joined with rows by their step
        return kf.Normal(0.5 * one, START * one)

    def transition_distribution(self, context):
        return kf.Normal(DECAY * context, STEP * ops.ones_like(context))

    def emission_distribution(self, context, latent):
        return kf.Normal(WEIGHT * latent, NOISE * ops.ones_like(latent))


@keras.saving.register_keras_serializable(package="tests")
class ProposingChain(GaussianChain):
    """With a proposal of its own that sees x_t, but is not the exact one."""

    def proposal_distribution(self, context, present, transition):
        loc = 0.5 * transition.mean + 0.3 * present
        return kf.Normal(loc, 0.8 * ops.ones_like(loc))

    def look_ahead(self, past, present, inputs):
        return present


def observations(steps, seed=0):
    """One sequence `(steps, 1)` drawn from the chain."""
    generator = np.random.default_rng(seed)
    latent, found = 0.5 + START * generator.standard_normal(), []
    for _ in range(steps):
        found.append(WEIGHT * latent + NOISE * generator.standard_normal())
        latent = DECAY * latent + STEP * generator.standard_normal()
    return np.array(found, "float32")[:, None]


def log_evidence(x, observed=None):
    """Exact log p(x), by the joint Normal density of what is observed."""
    steps = len(x)
    mean = 0.5 * DECAY ** np.arange(steps)
    variance = np.empty(steps)
    variance[0] = START**2
    for t in range(1, steps):
        variance[t] = DECAY**2 * variance[t - 1] + STEP**2
    early = np.minimum.outer(np.arange(steps), np.arange(steps))
    apart = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    covariance = WEIGHT**2 * variance[early] * DECAY**apart
    covariance += NOISE**2 * np.eye(steps)
    keep = slice(None) if observed is None else observed
    residual = (x[:, 0].astype("float64") - WEIGHT * mean)[keep]
    covariance = covariance[keep][:, keep]
    return -0.5 * (
        residual @ np.linalg.solve(covariance, residual)
        + np.linalg.slogdet(2 * np.pi * covariance)[1]
    )
