"""Calibration, quantile losses and errors of forecasts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_fivo.metrics.observed import (
    as_array,
    observed_values,
    samples_first,
)


def coverage(
    observations: Any, samples: Any, level: float = 0.8, axis: int = 1
) -> np.ndarray:
    """Tells which entries the central interval of samples holds.

    Of a calibrated forecast the mean, `np.nanmean`, is near `level`.

    Args:
        observations: `(batch, time, features)`, or any shape, NaN where
            missing; or a dict with `mask` or `lengths`, as for a model.
        samples: The shape of the observations with an axis of samples more,
            as `Forecast.samples`.
        level: Probability of the interval, in (0, 1).
        axis: The samples' axis.

    Returns:
        Float64, of the shape of the observations: 1 in the interval, 0
        outside, NaN where missing.
    """
    if not 0 < level < 1:
        raise ValueError(
            f"`level` must lie in (0, 1). Received: level={level!r}"
        )
    observed = observed_values(observations)
    drawn = samples_first(samples, observed, axis)
    ends = [0.5 - level / 2, 0.5 + level / 2]
    low, high = np.quantile(drawn, ends, axis=0)
    inside = (low <= observed) & (observed <= high)
    return np.where(np.isnan(observed), np.nan, inside.astype("float64"))


def pit_values(
    observations: Any, samples: Any, axis: int = 1, uniforms: Any = None
) -> np.ndarray:
    """Returns where observations lie among samples: uniform if calibrated.

    The probability integral transform: the rank of each observation among
    the samples, between 0 and 1.

    Args:
        observations: As for `coverage`.
        samples: Samples, as for `coverage`.
        axis: Axis of the samples.
        uniforms: Uniform numbers of the observations' shape, which place each
            value within its rank and its ties: of a calibrated forecast the
            values are uniform, whatever the number of samples and for counts
            too. None: the middle of the rank.

    Returns:
        Float64 in (0, 1), of the shape of the observations; NaN where
        missing.

    Reference:
        Czado et al., 2009, "Predictive Model Assessment for Count Data".
    """
    observed = observed_values(observations)
    drawn = samples_first(samples, observed, axis)
    within = 0.5 if uniforms is None else as_array(uniforms)
    below = (drawn < observed).sum(0)
    ties = (drawn == observed).sum(0)
    values = (below + within * (ties + 1)) / (len(drawn) + 1)
    return np.where(np.isnan(observed), np.nan, values)


def quantile_loss(
    observations: Any, quantiles: Any, levels: Sequence[float]
) -> np.ndarray:
    """Computes the quantile (pinball) loss of each level and entry.

    Args:
        observations: As for `coverage`.
        quantiles: `(num_levels, ...)`, as `Forecast.quantiles`.
        levels: The levels of the quantiles, in (0, 1).

    Returns:
        Float64 `(num_levels, ...)`, in the units of the data; NaN where
        missing.
    """
    observed = observed_values(observations)
    found = as_array(quantiles).astype("float64")
    if found.shape != (len(levels), *observed.shape):
        raise ValueError(
            f"`quantiles` must have the shape {(len(levels), *observed.shape)}"
            f". Received: quantiles of shape {found.shape}"
        )
    shape = (-1,) + (1,) * observed.ndim
    level = np.reshape(np.asarray(levels, "float64"), shape)
    error = observed - found
    return np.maximum(level * error, (level - 1) * error)


def weighted_quantile_loss(
    observations: Any, quantiles: Any, levels: Sequence[float]
) -> float:
    """Computes the mean quantile loss over the mean size of observations.

    Twice the sum of quantile losses over the sum of the absolute values of
    what is observed, averaged over levels.

    Args:
        observations: As for `coverage`.
        quantiles: `(num_levels, ...)`, as `Forecast.quantiles`.
        levels: The levels of the quantiles, in (0, 1).

    Returns:
        A number without unit; NaN where nothing, or nothing but zeros, is
        observed.
    """
    losses = quantile_loss(observations, quantiles, levels)
    size = np.nansum(np.abs(observed_values(observations)))
    if not size > 0:
        return float("nan")
    return float(2.0 * np.nansum(losses) / len(levels) / size)


def seasonal_error(past: Any, season: int = 1) -> np.ndarray:
    """Returns the mean absolute error of the seasonal naive in a past.

    Args:
        past: `(batch, time, features)`, or a dict; as for `coverage`.
        season: Number of steps of a season; 1: the last value.

    Returns:
        `(batch, features)`, in the units of the data; NaN where no two steps
        a season apart are observed.
    """
    values = observed_values(past)
    if values.ndim != 3:
        raise ValueError(
            "`past` must be (batch, time, features). "
            f"Received: past of shape {values.shape}"
        )
    if season < 1:
        raise ValueError(
            f"`season` must be at least 1. Received: season={season!r}"
        )
    return _mean_observed(np.abs(values[:, season:] - values[:, :-season]))


def mase(
    observations: Any, forecasts: Any, past: Any, season: int = 1
) -> np.ndarray:
    """Computes the mean absolute scaled error of each sequence and feature.

    The mean absolute error of a forecast over `seasonal_error` of the past.

    Args:
        observations: `(batch, time, features)`, or a dict; as for `coverage`.
        forecasts: `(batch, time, features)`; medians have the least error.
        past: What came before, `(batch, earlier time, features)`, or a dict.
        season: Number of steps of a season; 1: the last value.

    Returns:
        `(batch, features)`, without unit; NaN where nothing is observed, or
        the past never changed.

    Reference:
        Hyndman and Koehler, 2006, "Another look at measures of forecast
        accuracy".
    """
    observed = observed_values(observations)
    found = as_array(forecasts).astype("float64")
    if found.shape != observed.shape:
        raise ValueError(
            f"`forecasts` must have the shape {observed.shape}. "
            f"Received: forecasts of shape {found.shape}"
        )
    scale = seasonal_error(past, season)
    error = _mean_observed(np.abs(observed - found))
    return error / np.where(scale > 0, scale, np.nan)


def _mean_observed(values: np.ndarray) -> np.ndarray:
    """Returns the mean over time of what is not NaN; NaN where all is."""
    seen = ~np.isnan(values)
    total = np.where(seen, values, 0.0).sum(1)
    count = seen.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def anomaly_threshold(scores: Any, rate: float = 0.01) -> float:
    """Returns the score that normal steps exceed at no more than a rate.

    Of a new step that is exchangeable with those given, whatever the model.

    Args:
        scores: Scores of steps that are normal and were not trained on, of
            any shape, NaN where there is none.
        rate: Share of false alarms, in (0, 1).

    Returns:
        The threshold; infinite where there are fewer than `1 / rate - 1`
        scores.

    Reference:
        Vovk et al., 2005, "Algorithmic Learning in a Random World".
    """
    if not 0 < rate < 1:
        raise ValueError(f"`rate` must lie in (0, 1). Received: rate={rate!r}")
    found = as_array(scores).astype("float64").ravel()
    ordered = np.sort(found[~np.isnan(found)])
    rank = math.ceil((len(ordered) + 1) * (1 - rate))
    return float(ordered[rank - 1]) if rank <= len(ordered) else float("inf")
