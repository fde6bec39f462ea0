"""Tables of one's own, forecast."""

import pathlib
from typing import Any, ClassVar

from recipes.errors import RecipeError
from recipes.recipe import DataSet, Recipe
from recipes.table.config import (
    BacktestSettings,
    FitSettings,
    ForecastSettings,
    TuneSettings,
)

_TUNE = """\
Searches for settings of the ensemble by the CRPS of a back-test that ends where
the one of `backtest` begins, and prints the command that tests the best. Keeps
all trials in trials.json; a search that was stopped begins again.

  python -m recipes tune sales.csv
  python -m recipes tune sales.csv trials=12 search=temperature,powers"""


class Table(Recipe[Any]):
    """Series in a table, forecast by structural time series models."""

    name = "table"
    has_bounds = False
    tune_help = _TUNE
    data_sets = (
        DataSet(FitSettings(data="table"), "a CSV or Parquet file of your own"),
        DataSet(
            FitSettings(data="climate"),
            "monthly sea temperature and carbon dioxide; statsmodels has them",
        ),
        DataSet(
            FitSettings(data="economy"),
            "nine quarterly series of the United States; likewise",
        ),
    )
    choices: ClassVar[dict[str, Any]] = {
        "temperature": (1.0, 2.0, 3.0, 5.0, 10.0),
        "prior_scale": (0.5, 0.7, 1.0, 1.4),
    }
    ranges: ClassVar[dict[str, Any]] = {}
    searched = TuneSettings.model_fields["search"].default

    def tune_settings(self, data: str = "", **given: Any) -> Any:
        usual = self.fit_settings(data)
        return TuneSettings(**{**dict(usual), **given})

    def forecast_settings(self, data: str = "") -> ForecastSettings:
        """Returns what `forecast` is told where nothing else is said."""
        return ForecastSettings(**dict(self.fit_settings(data)))

    def backtest_settings(self, data: str = "") -> BacktestSettings:
        """Returns what `backtest` is told where nothing else is said."""
        return BacktestSettings(**dict(self.fit_settings(data)))

    def load(self, settings: Any, show_progress: bool = True) -> Any:
        from recipes.table.data import load

        return load(settings)[0]

    def fit(self, settings: Any) -> None:
        from recipes.table.verbs import run_fit

        run_fit(settings)

    def tune(self, settings: Any) -> None:
        from recipes.table.verbs import run_tune

        run_tune(settings)

    def forecast(self, settings: Any) -> None:
        from recipes.table.verbs import run_forecast

        run_forecast(settings)

    def backtest(self, settings: Any) -> None:
        from recipes.table.verbs import run_backtest

        run_backtest(settings)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        raise RecipeError(
            "A table is forecast, and not sampled: `forecast` writes "
            f"quantiles. Received: sample of data={trained.data!r}."
        )
