"""Forecasts: quantiles of the mixture of a series' members."""

import numpy as np
from keras import ops
from scipy.special import ndtri

from keras_fivo import structural
from recipes.errors import RecipeError
from recipes.table.batches import batches_of, design_of

# A forecast is kept as so many values of equal weight: its quantiles at
# levels 1/398, 3/398, ...
NUM_VALUES = 199
LEVELS = (np.arange(NUM_VALUES) + 0.5) / NUM_VALUES
_SMALL_COUNT = 20


def forecast(model, panel, origins, horizon, batch_size=256):
    """Forecasts each series from each of its origins.

    Parameters and weights of members stay; each origin's own past is filtered.

    Args:
        model: A fitted `StructuralForecaster`.
        panel: `Panel`.
        origins: For each series the numbers of steps that are seen, of the
            same count for all.
        horizon: Number of steps.

    Returns:
        For each series an array `(origins, NUM_VALUES, horizon)`: quantiles of
        each step at the levels `LEVELS`.

    Raises:
        RecipeError: What is known ahead ends before the horizon.
    """
    check_known_ahead(panel, origins, horizon)
    ends = [max(own) for own in origins]
    series = model.series_of_rows
    transformations = model.transformations_of_rows
    weights = np.exp(ops.convert_to_numpy(model.log_weights)[:, 0])
    count = np.bincount(series, minlength=len(panel.series))
    values, mixed = [[] for _ in panel.series], [None] * len(panel.series)
    for batch in batches_of(model, panel, ends, batch_size):
        means, variances = _moments(model, panel, batch, origins, horizon)
        for row, mean, variance in zip(
            batch.rows, means, variances, strict=True
        ):
            made = transformations[row]
            spread = np.sqrt(variance)[:, None] * ndtri(LEVELS)[:, None]
            own = made.backward(mean[:, None] + spread)
            number = series[row]
            values[number].append((weights[row], own))
            if len(values[number]) == count[number]:
                # Those of all members of all series would take much memory.
                past = panel.series[number].values[: ends[number]]
                mixed[number] = _mixed(values[number], past)
                values[number] = None
    return mixed


def check_known_ahead(panel, origins, horizon):
    """Refuses a horizon that known columns do not reach.

    Args:
        panel: `Panel`.
        origins: As for `forecast`.
        horizon: Number of steps.

    Raises:
        RecipeError: What is known ahead ends before the horizon.
    """
    for one, own in zip(panel.series, origins, strict=True):
        seen = one.until(max(own))
        if not seen.fits(horizon):
            raise RecipeError(
                "Known columns must reach as far as the forecast: add rows "
                "whose target is empty, or forecast fewer steps. Received: "
                f"{one.name!r} with {seen.steps_ahead()} of {horizon} "
                "steps ahead."
            )


def _moments(model, panel, batch, origins, horizon):
    """Returns means and variances of rows, `(rows, origins, horizon)`."""
    count, series = len(batch.rows), model.series_of_rows[batch.rows]
    _, states = model.filter(batch.inputs)
    places = np.array([origins[number] for number in series]) - 1
    index = (np.arange(count)[:, None], places)
    states = {
        name: ops.convert_to_numpy(state)[index]
        for name, state in states.items()
    }
    design = np.stack(
        [
            [
                design_of(model, panel.series[number], place + 1, horizon)
                for place in own
            ]
            for number, own in zip(series, places, strict=True)
        ]
    )
    parameters = {
        name: ops.convert_to_numpy(value)
        for name, value in model.parameters(batch.rows).items()
    }
    variances = ops.convert_to_numpy(model.coefficient_variances)[batch.rows]
    return structural.forecast_moments(
        parameters, states, design, model.walks, variances
    )


def _mixed(found, past):
    """Returns quantiles of a mixture, within what the series can be."""
    weights = np.repeat([weight for weight, _ in found], NUM_VALUES)
    weights = weights / weights.sum()
    values = np.concatenate([own for _, own in found], axis=1)
    past = past[np.isfinite(past)]
    if past.min() >= 0:
        values = np.maximum(values, 0.0)
    values = weighted_quantiles(values, weights, LEVELS)
    whole = np.all(past == np.round(past))
    return np.round(values) if whole and past.mean() < _SMALL_COUNT else values


def weighted_quantiles(values, weights, levels):
    """Returns quantiles along the second axis.

    Args:
        values: `(origins, values, steps)`.
        weights: `(values,)`, which sum to 1.
        levels: `(levels,)`.

    Returns:
        `(origins, levels, steps)`.
    """
    order = np.argsort(values, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    own = weights[order]
    middle = np.cumsum(own, axis=1) - own / 2
    found = np.empty((len(values), len(levels), values.shape[2]))
    for origin in range(len(values)):
        for step in range(values.shape[2]):
            found[origin, :, step] = np.interp(
                levels, middle[origin, :, step], values[origin, :, step]
            )
    return found


def quantiles(values, levels):
    """Returns quantiles of a forecast: `(..., levels, horizon)`.

    Args:
        values: As from `forecast`, `(..., NUM_VALUES, horizon)`.
        levels: `(levels,)`.
    """
    values = np.sort(values, axis=-2)
    shape = (*values.shape[:-2], len(levels), values.shape[-1])
    columns = np.moveaxis(values, -2, -1).reshape(-1, NUM_VALUES)
    found = np.stack([np.interp(levels, LEVELS, one) for one in columns])
    found = found.reshape(*values.shape[:-2], values.shape[-1], len(levels))
    return np.moveaxis(found, -1, -2).reshape(shape)
