"""Finds a trained model, and the data that it was trained on."""

import dataclasses
import pathlib
from typing import Any

import keras_fivo as kf
from recipes.errors import RecipeError, told_to_the_user
from recipes.presets.finding import find_preset
from recipes.recipe import Recipe
from recipes.registry import recipe_of
from recipes.settings.common import (
    FitSettings,
    SampleSettings,
    TrainedSettings,
)
from recipes.training.model_file import load_model
from recipes.training.run_folder import RunFolder


@dataclasses.dataclass
class Trained:
    """A trained model and what belongs to it.

    Attributes:
        model: The model.
        model_path: Path of its file, or of the folder of a preset.
        folder: Path of the folder to write to.
        data: Name of the data set.
        recipe: Recipe that knows the data set.
        sequences: What the recipe's `load` gave.
        trained_with: Settings of the training; the usual ones for what is not
            known.
    """

    model: kf.LatentSequenceModel
    model_path: pathlib.Path
    folder: pathlib.Path
    data: str
    recipe: Recipe
    sequences: Any
    trained_with: FitSettings


def run_sample(settings: SampleSettings) -> list[pathlib.Path]:
    """Samples as the settings say; returns the files that were written."""
    trained = load_trained(settings)
    written = trained.recipe.sample(trained, settings)
    for path in written:
        print(f"  {path}")
    return written


def load_trained(settings: TrainedSettings) -> Trained:
    """Loads the model and the data that a verb is to use.

    Args:
        settings: Their `data` and `data_path`, if set, take the place of
            those of the run.

    Raises:
        RecipeError: There is no model, or no data.
    """
    model_path, source, folder = _find_model(settings.run)
    record = RunFolder(source).read_record()
    known = record["settings"] if record else {}
    data = settings.data or known.get("data")
    if data is None:
        raise RecipeError(
            "The file does not say which data it was trained on: name them "
            f"with data=... Received: run={settings.run!r}."
        )
    data_path = settings.data_path
    if data_path is None and data == known.get("data"):
        data_path = known.get("data_path")
    recipe = recipe_of(data)
    if not recipe.has_bounds:
        raise RecipeError(
            f"Models of the recipe {recipe.name} have no bounds: `forecast` "
            f"and `backtest` use them. Received: run={settings.run!r}."
        )
    usual = recipe.fit_settings(data)
    same = {name: value for name, value in known.items() if name in dict(usual)}
    trained_with = usual.changed(
        **{**same, "data": data, "data_path": data_path}
    )
    with told_to_the_user():
        sequences = recipe.load(trained_with)
        if model_path.is_dir():
            model = kf.LatentSequenceModel.from_preset(model_path)
        else:
            model = load_model(model_path)
    return Trained(
        model,
        model_path,
        folder,
        data,
        recipe,
        sequences,
        trained_with,
    )


def _find_model(
    run: str,
) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """Finds the model, the folder that tells of it, and that to write to."""
    if not run:
        raise RecipeError(
            "Name the folder of a run, a .keras file or a preset. "
            "Received: no `run`. `python -m recipes fit` makes one."
        )
    path = pathlib.Path(run).expanduser()
    path = path if path.suffix == ".keras" else path / "best.keras"
    if path.is_file():
        return path, path.parent, path.parent
    preset = find_preset(run)
    if preset is not None:
        # A preset stays as it is: what is made with it goes elsewhere.
        return preset, preset, pathlib.Path("runs", path.parent.name)
    raise RecipeError(
        f"There is no trained model here: {str(path)!r} is missing, and no "
        f"preset has this name. Received: run={run!r}. `python -m recipes fit` "
        "makes one."
    )
