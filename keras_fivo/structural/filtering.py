"""A structural time series model, filtered exactly, for many rows at once.

A row is one series under one member of the ensemble:

    x_t = level_t + cycle_t + u_t' coefficients_t + noise
    level_{t+1} = level_t + phi slope_t + noise
    slope_{t+1} = phi slope_t + noise
    cycle_{t+1} = rho rotation(frequency) cycle_t + noise
    coefficients_{t+1} = coefficients_t + noise, of those that walk

with Normal noises: a linear Gaussian state-space model, the local linear trend
of Harvey (1989, "Forecasting, Structural Time Series Models and the Kalman
Filter", sections 2.3 and 4.1) with a damped slope. A season's harmonics stand
in u_t, as cosines and sines of the time: as their noise is the same in all
directions, this is Harvey's trigonometric season (2.3.4), seen from a frame
that turns with it. What is known ahead stands in u_t, too.

`keras_fivo.linear_gaussian` filters such models in the form of square roots.
Here numbers are standardised and the prior is not vague, so that covariances
keep their digits in float32, and only one block of four moves.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.types import Tensor

# Log standard deviations of the noises, in standardised units, and the logits
# of damping and persistence; the last is the shift of the cycle's frequency.
PRIOR = {
    "observation": (-1.0, 1.5),
    "level": (-1.2, 1.2),
    "slope": (-4.0, 1.2),
    "damping": (4.0, 1.0),
    "cycle": (-1.2, 1.2),
    "persistence": (1.0, 1.0),
    "frequency": (0.0, 1.0),
    "season": (-3.0, 1.2),
}
NAMES = tuple(PRIOR)
# Level, slope, and the two of the cycle; the observation sees level and cycle.
BLOCK = 4
SEEN = np.array([1.0, 0.0, 1.0, 0.0], "float32")
_LEVEL_VARIANCE = 9.0
_MIN_VARIANCE = 1e-4


def prior_means() -> np.ndarray:
    """Returns the prior means of the parameters, `(parameters,)`."""
    return np.array([mean for mean, _ in PRIOR.values()], "float32")


def log_prior(raw: Tensor, scale: float = 1.0) -> Tensor:
    """Returns the log prior density of each row's parameters, up to a constant.

    Args:
        raw: `(rows, parameters)`, in the order of `NAMES`.
        scale: Factor of the prior's standard deviations.

    Returns:
        `(rows,)`, in nats.
    """
    deviations = scale * np.array([one for _, one in PRIOR.values()])
    deviations = ops.convert_to_tensor(deviations.astype("float32"))
    means = ops.convert_to_tensor(prior_means())
    distance = (ops.convert_to_tensor(raw) - means) / deviations
    return -0.5 * ops.sum(ops.square(distance), axis=-1)


def chain(raw: Tensor, options: Mapping[str, Any]) -> dict:
    """Returns the matrices of a row's chain.

    Args:
        raw: `(rows, parameters)`.
        options: Dict of `(rows,)`: `damped`, 1 or 0; `stationary`, 1 where
            the level stays and there is no slope; `frequency`, in radians a
            step, 0: none, which makes the cycle an autoregression;
            `slope_variance`, of the first slope.

    Returns:
        Dict of `transition`, `(rows, 4, 4)`; `variances`, `(rows, 4)`, of the
        transition's noise; `initial`, `(rows, 4)`, variances of the first
        state; `observation` and `season`, `(rows,)`, variances.
    """
    options = {name: ops.convert_to_tensor(x) for name, x in options.items()}
    part = dict(zip(NAMES, ops.unstack(raw, len(NAMES), axis=1), strict=True))
    variance = {
        name: ops.exp(2.0 * part[name])
        for name in ("observation", "level", "slope", "cycle", "season")
    }
    one = ops.ones_like(part["level"])
    zero = ops.zeros_like(one)
    damping = ops.where(
        options["damped"] > 0.5, ops.sigmoid(part["damping"]), one
    )
    kept = 0.999 * ops.sigmoid(part["persistence"])
    # Within a factor of 1.65 of where it starts.
    frequency = options["frequency"] * ops.exp(
        0.5 * ops.tanh(part["frequency"])
    )
    cosine, sine = kept * ops.cos(frequency), kept * ops.sin(frequency)
    rows = (
        (one, damping, zero, zero),
        (zero, damping, zero, zero),
        (zero, zero, cosine, sine),
        (zero, zero, -sine, cosine),
    )
    spread = variance["cycle"] / (1.0 - ops.square(kept)) + 1e-6
    level = _LEVEL_VARIANCE * one
    moving = 1.0 - options["stationary"]
    slope = options["slope_variance"] * moving
    variance["level"] = variance["level"] * moving
    variance["slope"] = variance["slope"] * moving
    return {
        "transition": ops.stack([ops.stack(r, axis=-1) for r in rows], axis=-2),
        "variances": ops.stack(
            [variance[n] for n in ("level", "slope", "cycle", "cycle")], axis=-1
        ),
        "initial": ops.stack([level, slope, spread, spread], axis=-1),
        "observation": variance["observation"] + _MIN_VARIANCE,
        "season": variance["season"],
    }


def filter_rows(
    parameters: dict, inputs: Mapping[str, Any], keep_states: bool = False
) -> Any:
    """Filters each row: the Kalman filter, in closed form for one feature.

    Args:
        parameters: As from `chain`.
        inputs: Dict of `observations` and `observed`, `(rows, time)`, the
            latter 1 or 0; `design`, u_t, `(rows, time, coefficients)`;
            `coefficient_variances`, of the first coefficients, `(rows,
            coefficients)`; `walks`, `(coefficients,)`, 1 for those of seasons.
        keep_states: Whether to give the states, too.

    Returns:
        The increments of the log evidence, `(rows, time)`, in nats; with
        `keep_states`, then a dict of the filtered `mean`, `(rows, time,
        states)`, and `covariance`, `(rows, time, states, states)`.
    """
    # Inside, rows are the last axis: a processor adds many of them at once.
    inputs = {name: ops.convert_to_tensor(x) for name, x in inputs.items()}
    own = {name: ops.moveaxis(x, 0, -1) for name, x in parameters.items()}
    block = own["initial"]
    coefficients = ops.swapaxes(inputs["coefficient_variances"], 0, 1)
    start = (
        ops.zeros_like(block),
        ops.zeros_like(coefficients),
        _diagonal(block),
        ops.zeros_like(_outer(block, coefficients)),
        _diagonal(coefficients),
    )
    matrix, noise = own["transition"], _diagonal(own["variances"])
    walk = own["season"] * inputs["walks"][:, None]
    walk = _diagonal(walk * ops.cast(coefficients > 0, walk.dtype))

    def step(carry: tuple, now: dict) -> tuple[tuple, Any]:
        found, carry = _absorb(carry, now, own["observation"])
        kept = (found, *carry) if keep_states else found
        return _advance(carry, matrix, noise, walk), kept

    by_time = {
        name: ops.moveaxis(inputs[name], 0, -1)
        for name in ("observations", "observed", "design")
    }
    found = backend.scan(step, start, by_time)[1]
    if not keep_states:
        return ops.swapaxes(found, 0, 1)
    # (time, ..., rows) -> (rows, time, ...)
    increments, mean, weights, block, cross, rest = (
        ops.moveaxis(x, -1, 0) for x in found
    )
    top = ops.concatenate([block, cross], axis=-1)
    bottom = ops.concatenate([ops.swapaxes(cross, -1, -2), rest], axis=-1)
    return increments, {
        "mean": ops.concatenate([mean, weights], axis=-1),
        "covariance": ops.concatenate([top, bottom], axis=-2),
    }


def _absorb(carry: tuple, now: dict, noise: Tensor) -> tuple:
    """Conditions the state on an observation; gives the log evidence too."""
    mean, weights, block, cross, rest = carry
    inputs, observed = now["design"], now["observed"]
    # The covariance of the state with what is observed, in two parts.
    first = block[:, 0] + block[:, 2] + ops.sum(cross * inputs, axis=1)
    second = cross[0] + cross[2] + ops.sum(rest * inputs, axis=1)
    variance = first[0] + first[2] + noise
    # It is never below the noise, but for rounding.
    variance = ops.maximum(variance + ops.sum(second * inputs, axis=0), noise)
    residual = now["observations"] - mean[0] - mean[2]
    residual = residual - ops.sum(weights * inputs, axis=0)
    increment = (
        -0.5
        * observed
        * (
            math.log(2 * math.pi)
            + ops.log(variance)
            + ops.square(residual) / variance
        )
    )
    # Of vectors, so that the way back keeps no matrix of each step for it.
    gain = observed / variance
    first_gain, second_gain = gain * first, gain * second
    return increment, (
        mean + first_gain * residual,
        weights + second_gain * residual,
        block - _outer(first_gain, first),
        cross - _outer(first_gain, second),
        rest - _outer(second_gain, second),
    )


def _advance(carry: tuple, matrix: Tensor, noise: Tensor, walk: Tensor) -> Any:
    """Moves the state on by a step."""
    mean, weights, block, cross, rest = carry
    # The block is symmetric: matrix (matrix block)' = matrix block matrix'.
    block = _product(matrix, ops.swapaxes(_product(matrix, block), 0, 1))
    return (
        ops.sum(matrix * mean, axis=1),
        weights,
        block + noise,
        _product(matrix, cross),
        rest + walk,
    )


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Multiplies `(n, rows)` and `(m, rows)` to `(n, m, rows)`."""
    return left[:, None] * right[None]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Multiplies matrices of rows: `(n, k, rows)`, `(k, m, rows)`."""
    return ops.sum(left[:, :, None] * right[None], axis=1)


def _diagonal(values: Tensor) -> Tensor:
    """Returns `(n, rows)` as diagonal matrices `(n, n, rows)`."""
    size = int(values.shape[0])
    return values * ops.eye(size, dtype=keras.config.floatx())[:, :, None]


def forecast_moments(
    parameters: dict,
    states: dict,
    design: np.ndarray,
    walks: np.ndarray,
    first_variances: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance of what follows a state, in float64.

    Args:
        parameters: As from `chain`, as arrays of NumPy.
        states: `mean`, `(rows, origins, states)`, and `covariance`, `(rows,
            origins, states, states)`.
        design: u of the steps that follow, `(rows, origins, steps,
            coefficients)`.
        walks: `(coefficients,)`, 1 for those that walk.
        first_variances: `(rows, coefficients)`; 0 for one that is not there.

    Returns:
        Means and variances, `(rows, origins, steps)`.
    """
    mean = np.asarray(states["mean"], "float64")
    covariance = np.asarray(states["covariance"], "float64")
    matrix = np.asarray(parameters["transition"], "float64")
    seen = np.broadcast_to(SEEN.astype("float64"), (len(mean), BLOCK))
    walk = parameters["season"][:, None] * walks * (first_variances > 0)
    noise = np.asarray(parameters["observation"], "float64")
    means, variances, steps = [], [], design.shape[2]
    for step in range(steps):
        noise = noise + np.sum(seen**2 * parameters["variances"], axis=1)
        seen = np.einsum("ri,rij->rj", seen, matrix)
        now = design[:, :, step]
        row = np.broadcast_to(seen[:, None], (*now.shape[:2], BLOCK))
        row = np.concatenate([row, now], axis=-1)
        means.append(np.sum(row * mean, axis=-1))
        spread = np.einsum("rti,rtij,rtj->rt", row, covariance, row)
        walked = (step + 1) * np.einsum("rtk,rk->rt", now**2, walk)
        variances.append(spread + walked + noise[:, None])
    return np.stack(means, axis=-1), np.stack(variances, axis=-1)
