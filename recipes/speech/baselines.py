"""Simple predictors of speech, to be printed beside the bounds."""

import math

import numpy as np

_TRAIN_SAMPLES = 2**23  # of train are enough for a few coefficients


def white_noise(data, split):
    """Scores independent Normal samples, with the train mean and deviation.

    Args:
        data: Has `split(name)`, sequences of normalised steps.
        split: Name of the split.

    Returns:
        float. Nats per step, of the density of the normalised data.
    """
    return _per_step(data.split(split), np.zeros(0), 1.0)


def linear_prediction(data, split, order=16):
    """Scores each sample given those before it, by least squares on train.

    The error is Normal, of one variance; before a recording there are zeros.

    Args:
        data: Has `split(name)`, sequences of normalised steps.
        split: Name of the split.
        order: int. How many samples are looked at. Default: 16.

    Returns:
        float. Nats per step, of the density of the normalised data.
    """
    gram, cross = np.zeros((order, order)), np.zeros(order)
    energy, count = 0.0, 0
    for steps in data.split("train"):
        samples = steps.ravel().astype("float64")
        before = _lagged(samples, order)
        gram += before.T @ before
        cross += before.T @ samples
        energy += samples @ samples
        count += len(samples)
        if count >= _TRAIN_SAMPLES:
            break
    weights = np.linalg.lstsq(gram, cross, rcond=None)[0]
    variance = (energy - 2 * cross @ weights + weights @ gram @ weights) / count
    return _per_step(data.split(split), weights, variance)


def _per_step(sequences, weights, variance):
    squares, num_steps, size = 0.0, 0, 0
    for steps in sequences:
        samples = steps.ravel().astype("float64")
        error = samples - _lagged(samples, len(weights)) @ weights
        squares += error @ error
        num_steps += len(steps)
        size = steps.shape[1]
    constant = -0.5 * size * math.log(2 * math.pi * variance)
    return float(constant - 0.5 * squares / variance / num_steps)


def _lagged(samples, order):
    """Returns the samples before each, `(samples, order)`, nearest first."""
    padded = np.concatenate([np.zeros(order), samples])
    columns = [padded[order - i : len(padded) - i] for i in range(1, order + 1)]
    return np.stack(columns, axis=1) if order else np.zeros((len(samples), 0))
