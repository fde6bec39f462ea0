"""The verbs: what each is told, and what it runs.

Nothing here imports Keras before a verb runs: help is quick.
"""

import signal
from collections.abc import Callable, Mapping
from typing import Any, cast

from recipes.benchmark.program import BENCHMARK
from recipes.cli.demo import DEMO
from recipes.errors import RecipeError, told_to_the_user
from recipes.presets.config import GallerySettings, PresetSettings
from recipes.presets.finding import record_of_preset, same_architecture
from recipes.recipe import Recipe
from recipes.registry import RECIPES, recipe_of, recipe_of_run
from recipes.settings.base import Settings
from recipes.settings.common import PrepareSettings
from recipes.settings.program import Program, lazily

Given = Mapping[str, str]

_FIT = """\
Trains a latent sequence model, or what else the recipe of the data trains.
Keeps the best model, by the bound on the validation split, as best.keras in the
folder of the run. A run that was killed goes on when the same command is given
again. The settings and their defaults depend on the data: `python -m recipes
fit DATA --help` shows them, and `python -m recipes list` the names.

  python -m recipes fit bach
  python -m recipes fit jsb data_path=jsb.npz bound=fivo num_particles=4 \\
      run=runs/jsb-fivo
  python -m recipes fit bach preset=bach-vrnn learning_rate=1e-4
  python -m recipes fit learned_rule minutes=60"""
_PRESET = """\
Makes a preset of a finished run: a folder with the weights, the configuration,
hashes of both, and a model card that tells the data, the command and the three
bounds on the test split. `from_preset` loads it by its path, and a hub takes it
as it is.

  python -m recipes preset runs/bach-vrnn-fivo name=chorales
  python -m recipes evaluate presets/chorales
  python -m recipes fit bach preset=presets/chorales learning_rate=1e-4"""
_GALLERY = """\
Writes gallery.md, a table of presets with what their cards say, and the
pictures and sounds that are beside it, which `draw=true` makes anew.

  python -m recipes gallery
  python -m recipes gallery draw=true data_folder=DATA
  python -m recipes gallery presets=presets output=."""

_FORECAST = """\
Forecasts each series of a table: fits where that is still to be done, and
writes forecast.csv, a row of quantiles for each series and step, and a picture
of each series. The columns of times, series and targets are found and printed.

  python -m recipes forecast sales.csv
  python -m recipes forecast sales.csv target=sales known=price horizon=12"""
_BACKTEST = """\
Scores forecasts from the last origins of each series, beside those of the
seasonal naive forecast, ETS and ARIMA: CRPS and absolute errors, divided by the
error of the seasonal naive forecast in the past, and the coverage of intervals
of 80%.

  python -m recipes backtest sales.csv
  python -m recipes backtest climate origins=5 baselines=seasonal_naive"""
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")


def _list(settings: Settings) -> None:
    print(f"{'data':<12} {'recipe':<10}  what")
    for recipe in RECIPES:
        for known in recipe.data_sets:
            print(f"{known.settings.data:<12} {recipe.name:<10}  {known.about}")
    print(
        "\nMusic but bach is downloaded and checked, or read from a file with "
        "data_path=FILE\n(.npz, .mat or .pkl); recipes/RECIPE/README.md tells "
        "of the others.\nTry: python -m recipes fit bach"
    )


def _preparing(given: Given) -> tuple[Recipe, PrepareSettings]:
    """Returns the recipe that is to prepare data, and its settings."""
    found = {
        recipe.name: (recipe, settings)
        for recipe in RECIPES
        if (settings := recipe.prepare_settings(given)) is not None
    }
    name = given.get("recipe", next(iter(found)))
    if name not in found:
        raise RecipeError(
            "`recipe` is one of those that prepare data, "
            f"{', '.join(found)}. Received: recipe={name!r}."
        )
    return found[name]


def _prepare(settings: PrepareSettings) -> None:
    recipe, _ = _preparing({"recipe": settings.recipe})
    # Being terminated cleans up as an interrupt from the keyboard does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with told_to_the_user():
            recipe.prepare(settings)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fit(settings: Any) -> None:
    recipe_of(settings.data).fit(settings)


def _evaluate(settings: Any) -> None:
    recipe_of_run({"run": settings.run}).evaluate(settings)


def _tune(settings: Any) -> None:
    recipe_of(settings.data).tune(settings)


def _forecast(settings: Any) -> None:
    recipe_of(settings.data).forecast(settings)


def _backtest(settings: Any) -> None:
    recipe_of(settings.data).backtest(settings)


def _usual(verb: str) -> Callable[[Given], Settings]:
    """Returns what a verb is told where nothing else is said, by its data.

    A table's file may stand where a data set is named; what is given then says
    which is which. A preset that is named says what is not given.
    """

    def defaults(given: Given) -> Settings:
        of_tables = verb in ("forecast", "backtest")
        named = given.get("data", "")
        if named.lower().endswith(_TABLES) or (of_tables and "." in named):
            cast(dict, given).update(data="table", data_path=named)
        preset = given.get("preset")
        record = record_of_preset(preset) if preset else None
        if record and "data" not in given:
            cast(dict, given).update(data=record["settings"]["data"])
        data = given.get("data", "table" if of_tables else "")
        recipe = recipe_of(data)
        settings: Settings = getattr(recipe, f"{verb}_settings")(data)
        return same_architecture(settings, record) if record else settings

    return defaults


_PROGRAMS = (
    Program(
        "python -m recipes list",
        "Lists the data sets and what is needed for them.",
        "Lists the data sets and what is needed for them.",
        Settings(),
        _list,
    ),
    Program(
        "python -m recipes prepare",
        "Turns recordings into a data set that is read piece by piece.",
        lambda given: _preparing(given)[0].prepare_help,
        lambda given: _preparing(given)[1],
        _prepare,
        positional="recipe",
    ),
    Program(
        "python -m recipes fit",
        "Trains a model, or resumes a training that was stopped.",
        _FIT,
        _usual("fit"),
        _fit,
        positional="data",
    ),
    Program(
        "python -m recipes evaluate",
        "Prints the bounds of a trained model, or what a rule comes to.",
        lambda given: recipe_of_run(given).evaluate_help,
        lambda given: recipe_of_run(given).evaluate_settings,
        _evaluate,
        positional="run",
    ),
    Program(
        "python -m recipes sample",
        "Continues sequences: arrays, pictures, and what can be heard.",
        lambda given: recipe_of_run(given).sample_help,
        lambda given: recipe_of_run(given).sample_settings,
        lazily("recipes.training.trained:run_sample"),
        positional="run",
    ),
    Program(
        "python -m recipes tune",
        "Searches for better settings, with KerasTuner where it can.",
        lambda given: recipe_of(given.get("data")).tune_help,
        _usual("tune"),
        _tune,
        positional="data",
    ),
    Program(
        "python -m recipes preset",
        "Makes a folder to share of a run: weights and a model card.",
        _PRESET,
        PresetSettings(),
        lazily("recipes.presets.making:run_preset"),
        positional="run",
    ),
    Program(
        "python -m recipes gallery",
        "Writes a page of presets, from their cards.",
        _GALLERY,
        GallerySettings(),
        lazily("recipes.presets.gallery:run_gallery"),
    ),
    Program(
        "python -m recipes forecast",
        "Forecasts the series of a CSV or Parquet file.",
        _FORECAST,
        _usual("forecast"),
        _forecast,
        positional="data",
    ),
    Program(
        "python -m recipes backtest",
        "Compares such forecasts with others, in the past.",
        _BACKTEST,
        _usual("backtest"),
        _backtest,
        positional="data",
    ),
    BENCHMARK,
    DEMO,
)
VERBS = {verb.command.split()[-1]: verb for verb in _PROGRAMS}
