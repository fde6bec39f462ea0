"""Proper scores of distributions that are given by samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_fivo.metrics.observed import observed_values, samples_first


def crps(
    observations: Any, samples: Any, axis: int = 1, fair: bool = True
) -> np.ndarray:
    """Computes the continuous ranked probability score of each entry.

    E|X - x| - E|X - X'| / 2, in the units of the data; lower is better. Its
    mean over what is observed is `np.nanmean` of the result.

    Args:
        observations: `(batch, time, features)`, or any shape, NaN where
            missing; or a dict with `mask` or `lengths`, as for a model.
        samples: The shape of the observations with an axis of samples more,
            as `Forecast.samples`.
        axis: The samples' axis.
        fair: Whether the score is that of the distribution that the samples
            come from, without bias, whatever their number; False: that of
            the samples themselves, which is larger.

    Returns:
        Float64, of the shape of the observations; NaN where missing.

    Raises:
        ValueError: If the shapes do not fit, or for one sample if `fair`.

    Reference:
        Gneiting and Raftery, 2007, "Strictly Proper Scoring Rules", eq. 21;
        Ferro, 2014, "Fair scores for ensemble forecasts".
    """
    observed = observed_values(observations)
    drawn = np.sort(samples_first(samples, observed, axis, 1 + fair), axis=0)
    number = len(drawn)
    # The sum of |X_i - X_j| over pairs i < j, from the sorted samples.
    ranks = 2.0 * np.arange(1, number + 1) - number - 1
    spread = np.tensordot(ranks, drawn, axes=(0, 0))
    distance = np.abs(drawn - observed).mean(0)
    return distance - spread / _num_pairs(number, fair)


def energy_score(
    observations: Any,
    samples: Any,
    axis: int = 1,
    event_axes: int | Sequence[int] = -1,
    fair: bool = True,
) -> np.ndarray:
    """Computes the energy score of each event: the CRPS of a vector.

    E|X - x| - E|X - X'| / 2, of Euclidean distances over what is observed of
    the event. It sees how entries depend on each other, which the CRPS does
    not.

    Args:
        observations: As for `crps`.
        samples: Samples, as for `crps`.
        axis: Axis of the samples.
        event_axes: Axes of the observations that are one event: -1, the
            features of a step; `(1, 2)`, a whole path.
        fair: As for `crps`.

    Returns:
        Float64, of the shape of the observations without the event's axes;
        NaN where nothing of an event is observed.

    Reference:
        Gneiting and Raftery, 2007, "Strictly Proper Scoring Rules", eq. 22.
    """
    observed = observed_values(observations)
    drawn = samples_first(samples, observed, axis, 1 + fair)
    axes = (event_axes,) if isinstance(event_axes, int) else tuple(event_axes)
    axes = tuple(n % observed.ndim for n in axes)
    seen = ~np.isnan(observed)
    drawn = np.where(seen, drawn, 0.0)
    filled = np.where(seen, observed, 0.0)

    def distances(difference: np.ndarray) -> np.ndarray:
        squares = np.square(difference)
        return np.sqrt(squares.sum(tuple(n + 1 for n in axes)))

    # One sample against those after it at a time: memory stays that of the
    # samples.
    pairs = sum(
        distances(drawn[i + 1 :] - drawn[i]).sum(0) for i in range(len(drawn))
    )
    score = distances(drawn - filled).mean(0) - pairs / _num_pairs(
        len(drawn), fair
    )
    return np.where(seen.any(axes), score, np.nan)


def _num_pairs(number: int, fair: bool) -> int:
    """Counts ordered pairs of samples: of different ones, or of all."""
    return number * (number - 1) if fair else number**2
