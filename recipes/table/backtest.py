"""Back-tests: forecasts from origins in the past, beside those of others."""

import dataclasses
import math
import time

import numpy as np

from keras_fivo import metrics
from recipes.table.ensemble import build_forecaster, fit_forecaster
from recipes.table.forecasting import forecast, quantiles

OURS = "structural"
SCORES = ("crps", "coverage", "mase")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is forecast from where.

    Attributes:
        panel: `Panel` of the series that are long enough.
        origins: For each series the numbers of steps that are seen.
        horizon: Number of steps.
        left_out: Names of series that are too short.
    """

    panel: object
    origins: list
    horizon: int
    left_out: list


def make_plan(panel, settings, inner=False):
    """Returns the back-test that settings describe.

    Args:
        panel: `Panel`.
        settings: Has `horizon`, `origins` and `stride`.
        inner: Whether all of it must lie before the first origin of the
            outer one: what may be seen to choose settings. Default: `False`.
    """
    horizon = settings.horizon or panel.frequency.horizon
    span = horizon + (settings.origins - 1) * settings.stride
    kept, origins, left_out = [], [], []
    for one in panel.series:
        # The outer test keeps all that comes after its first origin.
        total = len(one.values) - (span if inner else 0)
        first = total - span
        least = max(4, min(2 * panel.season, 24))
        if first < least or np.isfinite(one.values[:first]).sum() < 4:
            left_out.append(one.name)
            continue
        kept.append(one.until(total))
        count, stride = settings.origins, settings.stride
        origins.append([first + number * stride for number in range(count)])
    series = dataclasses.replace(panel, series=tuple(kept))
    return Plan(series, origins, horizon, left_out)


def structural_forecasts(plan, settings):
    """Returns our forecasts, and the fitted model.

    The model is fitted once, on what comes before each series' first origin.
    """
    ends = [own[0] for own in plan.origins]
    model = build_forecaster(plan.panel, ends, settings)
    fit_forecaster(model, plan.panel, ends, settings)
    found = forecast(
        model, plan.panel, plan.origins, plan.horizon, settings.batch_size
    )
    return found, model


def baseline_forecasts(plan, baseline):
    """Returns the forecasts of a baseline, fitted anew at each origin.

    Args:
        plan: `Plan`.
        baseline: A function of `recipes.table.baselines`.
    """
    season = plan.panel.season
    return [
        np.stack(
            [baseline(one.values[:at], season, plan.horizon) for at in own]
        )
        for one, own in zip(plan.panel.series, plan.origins, strict=True)
    ]


def score(plan, forecasts):
    """Scores forecasts of each series.

    CRPS and absolute error of the median are divided by the error of the
    seasonal naive forecast within the past of each origin.

    Args:
        plan: `Plan`.
        forecasts: As from `recipes.table.forecasting.forecast`.

    Returns:
        For each series a dict of `crps`, `coverage` (of the 80% interval),
        `mase`, and `raw_crps`, in the units of the series: means over origins
        and steps, of what was observed.
    """
    rows = []
    for one, own, values in zip(
        plan.panel.series, plan.origins, forecasts, strict=True
    ):
        truth = np.stack([one.values[at : at + plan.horizon] for at in own])
        truth, values = truth[:, :, None], values[..., None]
        scales = [_scale(one.values[:at], plan.panel.season) for at in own]
        scales = np.array(scales)[:, None, None]
        found = metrics.crps(truth, values, fair=False)
        middle = quantiles(values[..., 0], [0.5])[:, 0, :, None]
        inside = metrics.coverage(truth, values, 0.8)
        rows.append(
            {
                "crps": float(np.nanmean(found / scales)),
                "coverage": float(np.nanmean(inside)),
                "mase": float(np.nanmean(np.abs(truth - middle) / scales)),
                "raw_crps": float(np.nanmean(found)),
            }
        )
    return rows


def _scale(past, season):
    """Returns the mean absolute error of the seasonal naive forecast so far."""
    for lag in (season, 1):
        differences = np.abs(past[lag:] - past[:-lag])
        if np.isfinite(differences).any() and np.nanmean(differences) > 0:
            return float(np.nanmean(differences))
    return 1.0


def run_plan(plan, settings, say=print):
    """Runs a back-test with all of its baselines.

    Args:
        plan: `Plan`.
        settings: `BacktestSettings`.
        say: Called with what is done. Default: `print`.

    Returns:
        Dict from the name of a method to `scores`, as from `score`, and
        `seconds`.
    """
    from recipes.table.baselines import BASELINES

    found = {}
    for name in (OURS, *settings.baselines):
        start = time.monotonic()
        try:
            if name == OURS:
                values, _ = structural_forecasts(plan, settings)
            else:
                values = baseline_forecasts(plan, BASELINES[name])
        except ValueError as error:
            if name == OURS:
                raise
            say(f"  {name}: left out: {error}")
            continue
        seconds = round(time.monotonic() - start, 1)
        found[name] = {"scores": score(plan, values), "seconds": seconds}
        say(f"  {name}: {seconds:.0f} s")
    return found


def winners(found):
    """Returns how many series each method is the best of, by CRPS."""
    names = list(found)
    table = [[row["crps"] for row in found[name]["scores"]] for name in names]
    best = np.argmin(np.array(table), axis=0)
    return {name: int(np.sum(best == i)) for i, name in enumerate(names)}


def describe(plan, found):
    """Returns the scores as text: a row for each series, and the mean."""
    names, width = list(found), max(len(name) for name in found)
    width = max(width, 16)
    lines = [
        "Scaled CRPS (lower is better), and coverage of the 80% interval:",
        f"{'series':<24} " + " ".join(f"{name:>{width}}" for name in names),
    ]
    for number, one in enumerate(plan.panel.series):
        rows = [found[name]["scores"][number] for name in names]
        lines.append(_line(one.name, rows, width))
    means = {
        name: {
            key: float(np.mean([row[key] for row in found[name]["scores"]]))
            for key in SCORES
        }
        for name in names
    }
    lines.append(_line("mean", means.values(), width))
    lines.append(
        f"{'MASE of the median':<24} "
        + " ".join(f"{means[name]['mase']:>{width}.3f}" for name in names)
    )
    best = winners(found)
    lines.append(
        f"{'best of so many series':<24} "
        + " ".join(f"{best[name]:>{width}}" for name in names)
    )
    return "\n".join(lines), means


def _line(name, rows, width):
    cells = [
        "-"
        if not math.isfinite(row["crps"])
        else f"{row['crps']:.3f} {row['coverage']:4.0%}"
        for row in rows
    ]
    name = name if len(name) <= 24 else name[:23] + "…"
    return f"{name:<24} " + " ".join(f"{cell:>{width}}" for cell in cells)
