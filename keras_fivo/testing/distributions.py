"""What every distribution must hold to."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_fivo.distributions import Distribution
from keras_fivo.testing.comparisons import require, require_equal, to_numpy


def check_distribution(
    make: Callable[[int], Distribution],
    grid: Any,
    *,
    tolerance: float = 1e-3,
    draws: int = 20_000,
    seed: int = 0,
) -> None:
    """Holds a distribution of independent entries to the contract.

    Checked are: shapes; that a row's log density is the sum of its observed
    entries'; that densities sum to one over the grid; that samples are finite
    and possible, and have the mean and the variance which the density has
    over the grid (within 6 standard errors); that `mean` agrees; that nothing
    on the grid is more probable than `mode`; and that `select` joins rows.

    Args:
        make: Number of rows to a distribution with that many equal rows,
            `(rows, entries)`.
        grid: Increasing values `(points,)` that hold nearly all the mass of
            each entry: the integers from the smallest value on for a discrete
            distribution, equally spaced numbers for a continuous one.
        tolerance: Largest error of sums over the grid.
        draws: Number of samples.
        seed: Seed of the noise.

    Raises:
        AssertionError: If one of them does not hold; it says which.
    """
    grid = np.asarray(grid, "float32")
    entries = int(make(1).mean.shape[-1])
    values = np.repeat(grid[:, None], entries, 1)
    on_grid = make(len(grid))
    log_probs = to_numpy(on_grid.entry_log_prob(ops.convert_to_tensor(values)))
    shape = values.shape
    require(
        log_probs.shape == shape,
        "`entry_log_prob` has the shape of the value.",
        f"{log_probs.shape} for {shape}",
    )
    _check_rows(on_grid, values, log_probs, seed)
    # Riemann sums; the spacing of integers is 1.
    mass = np.exp(log_probs.astype("float64")) * (grid[1] - grid[0])
    total = mass.sum(0)
    require(
        np.all(np.abs(total - 1) < tolerance),
        "Densities sum to one over the grid.",
        str(total),
    )
    mean = (mass * values).sum(0)
    slack = tolerance * (1 + np.abs(mean))
    found = to_numpy(make(1).mean)[0]
    require(
        np.all(np.abs(found - mean) < slack),
        "`mean` is the mean of the density over the grid.",
        f"{found} for {mean}",
    )
    _check_mode(make, log_probs)
    samples = _samples(make, draws, entries, seed)
    _check_moments(samples, mass, values - mean, mean, tolerance)


def _check_moments(
    samples: np.ndarray,
    mass: np.ndarray,
    distance: np.ndarray,
    mean: np.ndarray,
    tolerance: float,
) -> None:
    """Checks mean and variance of samples, within 6 standard errors.

    Args:
        samples: `(draws, entries)`.
        mass: Probabilities of the grid, `(points, entries)`.
        distance: The grid's values less their mean, like `mass`.
        mean: Mean of each entry, `(entries,)`.
        tolerance: What is allowed beyond the standard errors.
    """
    variance = (mass * distance**2).sum(0)
    error = np.sqrt(variance / len(samples))
    found = samples.mean(0)
    require(
        np.all(np.abs(found - mean) < 6 * error + tolerance * (1 + abs(mean))),
        "Samples have the mean of the density.",
        f"{found} for {mean}",
    )
    # The standard error of a variance, from the fourth moment.
    fourth = (mass * distance**4).sum(0)
    error = np.sqrt(np.maximum(fourth - variance**2, 0) / len(samples))
    found = samples.var(0)
    require(
        np.all(abs(found - variance) < 6 * error + tolerance * (1 + variance)),
        "Samples have the variance of the density.",
        f"{found} for {variance}",
    )


def _check_rows(
    distribution: Distribution,
    values: np.ndarray,
    log_probs: np.ndarray,
    seed: int,
) -> None:
    """Checks sums over entries, masks and `select`."""
    value = ops.convert_to_tensor(values)
    mask = np.random.default_rng(seed).random(values.shape) < 0.5
    for observed, expected in (
        (None, log_probs.sum(-1)),
        (mask, np.where(mask, log_probs, 0).sum(-1)),
        (np.zeros_like(mask), np.zeros(len(values))),
    ):
        given = None if observed is None else ops.convert_to_tensor(observed)
        require_equal(
            distribution.log_prob(value, given),
            expected,
            "`log_prob` is the sum over the entries that are observed.",
            1e-4,
        )
    rows = ops.convert_to_tensor(mask[:, 0])
    joined = distribution.select(rows, distribution)
    require_equal(
        joined.log_prob(value),
        distribution.log_prob(value),
        "`select` joins a distribution with itself.",
        1e-5,
    )


def _check_mode(
    make: Callable[[int], Distribution], log_probs: np.ndarray
) -> None:
    one = make(1)
    try:
        mode = one.mode
    except NotImplementedError:
        return
    at_mode = to_numpy(one.entry_log_prob(mode))[0]
    require(
        np.all(log_probs.max(0) <= at_mode + 1e-3),
        "Nothing is more probable than `mode`.",
        f"{log_probs.max(0)} on the grid, {at_mode} at the mode",
    )


def _samples(
    make: Callable[[int], Distribution], draws: int, entries: int, seed: int
) -> np.ndarray:
    """Draws samples `(draws, entries)`, checked to be possible."""
    distribution = make(draws)
    sizes: Any = distribution.noise_shape(entries)
    shape = (draws, *sizes)
    generator = np.random.default_rng(seed)
    noise = (
        generator.standard_normal(shape)
        if distribution.noise == "normal"
        else generator.random(shape)
    )
    drawn, log_prob = distribution.sample_and_log_prob(
        ops.convert_to_tensor(noise.astype("float32"))
    )
    require_equal(
        log_prob,
        distribution.log_prob(drawn),
        "`sample_and_log_prob` gives the log density of its sample.",
        1e-3,
    )
    require(
        np.isfinite(to_numpy(log_prob)).all(),
        "Samples are finite and possible.",
    )
    return to_numpy(drawn).astype("float64")
