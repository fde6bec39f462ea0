"""What one would use instead: forecasts to compare with.

Each baseline is a function of the past of a series, `(time,)` with NaN where
missing, the season in steps and the horizon; it gives `(NUM_VALUES, horizon)`,
quantiles at `LEVELS`.
"""

import contextlib
import importlib.util
import inspect
import warnings

import numpy as np
from scipy.special import ndtri
from scipy.stats import poisson

from recipes.errors import RecipeError
from recipes.packages import require
from recipes.settings.base import nearest
from recipes.table.forecasting import LEVELS

_LAST = 30
_NEWTON_STEPS = 25


def seasonal_naive(past, season, horizon):
    """Forecasts the values of a season ago; errors as in the past."""
    past = _filled(past)
    season = season if len(past) > season else 1
    last = past[-season:]
    ahead = np.arange(horizon)
    differences = past[season:] - past[:-season]
    spread = np.sqrt(np.mean(differences**2)) * np.sqrt(ahead // season + 1)
    return _normal(last[ahead % season], spread)


def empirical(past, season, horizon):
    """Forecasts the distribution of the last 30 values, at each step."""
    last = past[np.isfinite(past)][-_LAST:]
    return np.tile(np.quantile(last, LEVELS)[:, None], (1, horizon))


def poisson_regression(past, season, horizon):
    """Forecasts counts whose log rate is linear in time, and has a season.

    Raises:
        ValueError: The past holds what is no count.
    """
    seen = np.isfinite(past)
    values = past[seen]
    if np.any(values < 0) or np.any(values != np.round(values)):
        raise ValueError("values must be counts")
    time = np.arange(len(past) + horizon)
    columns = [np.ones(len(time)), time / len(past) - 0.5]
    waves = range(1, min(6, season // 2) + 1)
    columns += [np.cos(2 * np.pi * n * time / season) for n in waves]
    columns += [
        np.sin(2 * np.pi * n * time / season) for n in waves if 2 * n != season
    ]
    design = np.stack(columns, axis=1)
    own = design[: len(past)][seen]
    weights = np.zeros(design.shape[1])
    weights[0] = np.log(values.mean() + 0.1)
    for _ in range(_NEWTON_STEPS):
        rate = np.exp(own @ weights)
        curvature = own.T @ (own * rate[:, None])
        curvature += 1e-6 * np.eye(len(weights))
        weights = weights + np.linalg.solve(curvature, own.T @ (values - rate))
    rate = np.exp(design[len(past) :] @ weights)
    return poisson.ppf(LEVELS[:, None], rate[None])


def ets(past, season, horizon):
    """Forecasts by exponential smoothing, chosen by AICc."""
    if _has("statsforecast"):
        from statsforecast.models import AutoETS

        return _statsforecast(AutoETS, past, season, horizon)
    require("`ets`", "table", "statsmodels")
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    past, seasonal = _filled(past), 1 < season <= len(past) // 2
    positive = past.min() > 0
    kinds = ("add", "mul") if positive else ("add",)
    fits = []
    for error in kinds:
        for damped in (None, False, True):
            for cycle in kinds if seasonal else (None,):
                with _quiet():
                    fits.append(
                        ETSModel(
                            past,
                            error=error,
                            trend=None if damped is None else "add",
                            damped_trend=bool(damped),
                            seasonal=cycle,
                            seasonal_periods=season if seasonal else None,
                        ).fit(disp=False)
                    )
    best = min(fits, key=lambda one: one.aicc)
    # statsmodels renamed it.
    known = inspect.signature(best.simulate).parameters
    seed = {"rng" if "rng" in known else "random_state": 0}
    with _quiet():
        paths = np.asarray(
            best.simulate(horizon, anchor="end", repetitions=2_000, **seed)
        )
    return np.quantile(paths, LEVELS, axis=1)


def arima(past, season, horizon):
    """Forecasts by seasonal ARIMA, by AICc; of statsforecast, or few orders."""
    if _has("statsforecast"):
        from statsforecast.models import AutoARIMA

        return _statsforecast(AutoARIMA, past, season, horizon)
    require("`arima`", "table", "statsmodels")
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    # Of long seasons a state would be as long.
    seasonal = (0, 1, 1, season) if 1 < season <= 24 else (0, 0, 0, 0)
    fits = []
    for order in ((0, 1, 1), (1, 1, 1), (2, 0, 0), (1, 0, 1), (2, 1, 1)):
        with _quiet(), contextlib.suppress(np.linalg.LinAlgError):
            fits.append(
                SARIMAX(
                    past,
                    order=order,
                    seasonal_order=seasonal,
                    trend="c" if order[1] == 0 and season == 1 else None,
                ).fit(disp=False, maxiter=60)
            )
    found = min(fits, key=lambda one: one.aicc).get_forecast(horizon)
    return _normal(found.predicted_mean, found.se_mean)


BASELINES = {
    "seasonal_naive": seasonal_naive,
    "ets": ets,
    "arima": arima,
    "empirical": empirical,
    "poisson": poisson_regression,
}


def check_baselines(names):
    """Refuses what is not known, or needs a package that is not there.

    Args:
        names: Names of baselines.
    """
    for name in names:
        if name not in BASELINES:
            raise RecipeError(
                f"`baselines` may name {', '.join(BASELINES)}. "
                f"Received: baselines with {name!r}.{nearest(name, BASELINES)}"
            )
        if name in ("ets", "arima") and not _has("statsforecast"):
            try:
                require(f"`{name}`", "table", "statsmodels")
            except ImportError as error:
                raise RecipeError(
                    f"{error} Or leave it out: baselines=seasonal_naive."
                ) from None


def _statsforecast(model, past, season, horizon):
    past = _filled(past)
    season = season if len(past) > 2 * season else 1
    with _quiet():
        found = model(season_length=season).forecast(
            y=past, h=horizon, level=[80]
        )
    spread = (found["hi-80"] - found["mean"]) / ndtri(0.9)
    return _normal(found["mean"], spread)


def _has(package):
    return importlib.util.find_spec(package) is not None


def _filled(past):
    """Puts what is missing on lines between what is not."""
    time, seen = np.arange(len(past)), np.isfinite(past)
    return np.interp(time, time[seen], past[seen])


def _normal(mean, spread):
    return np.asarray(mean) + np.asarray(spread) * ndtri(LEVELS)[:, None]


@contextlib.contextmanager
def _quiet():
    """Hides what optimizers say of series that they cannot fit well."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
