"""Sums over log-weights: of weights of zero -inf, of NaN NaN."""

import math

from keras import ops

from keras_fivo.types import Tensor


def log_sum_exp(log_weights: Tensor) -> Tensor:
    """Returns the log of the sum of weights over the last axis.

    Unlike most implementations, all weights may be zero: the value is -inf,
    and the gradient zero, not NaN.

    Args:
        log_weights: `(..., particles)`, in nats; -inf is a weight of zero.

    Returns:
        `(...)`, in nats; NaN where any of the log-weights is.
    """
    # As in `normalize_weights`, so that compilers compute it once for both.
    largest = ops.max(log_weights, axis=-1, keepdims=True)
    shift = ops.where(largest > -math.inf, largest, ops.zeros_like(largest))
    shift = ops.stop_gradient(shift)
    total = ops.sum(ops.exp(log_weights - shift), axis=-1, keepdims=True)
    # Not the largest tells: some backends' maximum passes over NaN.
    dead = total == 0
    safe = ops.where(dead, ops.ones_like(total), total)
    nothing = ops.full_like(total, -math.inf)
    return ops.squeeze(ops.where(dead, nothing, ops.log(safe) + shift), -1)


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """Returns the log of the mean of weights; see `log_sum_exp`."""
    num_particles = int(log_weights.shape[-1])
    return log_sum_exp(log_weights) - math.log(num_particles)


def normalize_weights(log_weights: Tensor) -> Tensor:
    """Scales weights to sum to one over the last axis; zero if all died.

    Args:
        log_weights: `(..., particles)`, in nats, of any size: the largest is
            taken out first, so none of their differences is rounded away.
    """
    largest = ops.max(log_weights, axis=-1, keepdims=True)
    shift = ops.where(largest > -math.inf, largest, ops.zeros_like(largest))
    weights = ops.exp(log_weights - shift)
    total = ops.sum(weights, axis=-1, keepdims=True)
    return weights / ops.where(total == 0, ops.ones_like(total), total)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """Returns (sum of weights)^2 / sum of squared weights, by row.

    Between 1 and the number of particles (Kong et al., 1994); 0 where all
    weights are zero, and NaN where any is.
    """
    squares = ops.sum(ops.square(normalize_weights(log_weights)), axis=-1)
    dead = squares == 0
    safe = ops.where(dead, ops.ones_like(squares), squares)
    return ops.where(dead, ops.zeros_like(squares), 1.0 / safe)
