"""The settings of the table recipe."""

from typing import Annotated, ClassVar

from pydantic import Field

from recipes.settings.base import (
    FilePath,
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)


class DataSettings(Settings):
    """Which table, and what its columns are."""

    heading: ClassVar[str] = "Data"
    data: str = ""
    """Name of the data set; `table` is a file of your own."""
    data_path: FilePath | None = None
    """CSV or Parquet file: a row for each time, and each series."""
    time: str | None = None
    """Column of times. If it is not set, the first one that holds dates."""
    series: tuple[str, ...] | None = None
    """Columns that tell one series from another. If they are not set, those of
    text."""
    target: tuple[str, ...] | None = None
    """Columns to forecast. If they are not set, the only one of numbers, or
    the one that is named as a target usually is."""
    known: tuple[str, ...] = ()
    """Columns of numbers that are known ahead, such as prices or holidays. They
    must have values in the rows of the future, whose targets are empty."""
    frequency: str | None = None
    """Step of the time index: minute, 5min, 10min, 15min, 30min, hour, day,
    week, month, quarter or year; of whole numbers step or year. If it is not
    set, that of most of the gaps between times."""
    season: tuple[PositiveFloat, ...] | None = None
    """Lengths of the seasons, in steps. If they are not set, those that the
    frequency usually has; 1 is none."""
    calendar: bool = False
    """Whether lengths of months and numbers of their weekdays, or of a day
    being one of a month's first, are known columns too."""


class ModelSettings(Settings):
    """The ensemble of structural models, and how it is fitted."""

    heading: ClassVar[str] = "Model"
    powers: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0.0, 0.5, 1.0)
    """Powers of the Box-Cox transformation that members of the ensemble apply:
    0 is the logarithm, 1 leaves values as they are."""
    cycles: tuple[PositiveFloat, ...] = (9.0, 4.0)
    """Periods at which a member's cycle starts, in seasons."""
    harmonics: Positive = 6
    """Largest number of harmonics of a season."""
    temperature: PositiveFloat = 5.0
    """Temperature of the weights of members: 1 weighs them by their evidence,
    more is closer to equal weights."""
    prior_scale: PositiveFloat = 1.0
    """Factor of the standard deviations of the prior of the parameters."""
    updates: Positive = 80
    """Number of updates of each member's parameters."""
    learning_rate: PositiveFloat = 0.2
    """Initial learning rate of Adam."""
    batch_size: Positive = 256
    """Number of members, over all series, that are fitted at once."""
    seed: Natural = 0
    """Seed of sampled paths; the fit draws no random number."""


class OutputSettings(Settings):
    """Where results go."""

    heading: ClassVar[str] = "Output"
    run: FolderPath | None = None
    """Folder of the run. If it is not set, runs/DATA-structural; for a file,
    its name in place of DATA."""


# The last base comes first in the help.
class FitSettings(OutputSettings, ModelSettings, DataSettings):
    """What `fit` can be told."""

    incidental: ClassVar[frozenset[str]] = frozenset({"data_path", "run"})

    @property
    def folder(self) -> str:
        """The folder of the run."""
        return self.run or f"runs/{self.label}-structural"

    @property
    def label(self) -> str:
        """The name of the data set, or of its file."""
        if self.data != "table" or self.data_path is None:
            return self.data
        name = self.data_path.replace("\\", "/").rpartition("/")[2]
        return name.rpartition(".")[0] or name


class ForecastSettings(FitSettings):
    """What `forecast` can be told, besides what `fit` can."""

    heading: ClassVar[str] = "Forecast"
    horizon: Positive | None = None
    """Number of steps to forecast. If it is not set, that of the rows of the
    future, or else one year, or 12 steps."""
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (
        *(0.025, 0.1, 0.25, 0.5),
        *(0.75, 0.9, 0.975),
    )
    """Levels of the quantiles that are written."""
    pictures: Natural = 20
    """Largest number of series that are drawn."""


class BacktestSettings(FitSettings):
    """What `backtest` can be told, besides what `fit` can."""

    heading: ClassVar[str] = "Back-test"
    horizon: Positive | None = None
    """Number of steps to forecast from each origin. If it is not set, one year,
    or 12 steps."""
    origins: Positive = 13
    """Number of origins: the last steps from which the horizon is inside the
    series."""
    stride: Positive = 1
    """Number of steps from one origin to the next."""
    baselines: tuple[str, ...] = ("seasonal_naive", "ets", "arima")
    """Forecasts to compare with: seasonal_naive, ets, arima, empirical (of the
    last 30 values), poisson. ets and arima need statsforecast or
    statsmodels."""
    output: FilePath | None = None
    """JSON file to write. If it is not set, backtest.json in the folder of the
    run."""


class TuneSettings(BacktestSettings):
    """What `tune` can be told, besides what `backtest` can."""

    heading: ClassVar[str] = "Search"
    trials: Positive = 6
    """Number of random trials after the usual settings."""
    search: tuple[str, ...] = ("temperature", "prior_scale", "powers", "cycles")
    """Names of the settings that are searched, judged by the CRPS of a
    back-test inside the training part: before the first origin."""
    baselines: tuple[str, ...] = ()
    """Forecasts to compare with: none, in a search."""

    @property
    def folder(self) -> str:
        """The folder of the search."""
        return self.run or f"runs/{self.label}-tune"
