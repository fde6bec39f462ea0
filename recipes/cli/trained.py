"""Finds a trained model, and the data that it was trained on."""

import dataclasses
import pathlib
from typing import Any

from recipes.errors import RecipeError, told_to_the_user
from recipes.registry import config_of, name_for, recipe_of


@dataclasses.dataclass
class Trained:
    """A trained model and what belongs to it.

    Attributes:
        model: `keras_fivo.LatentSequenceModel`.
        model_path: Path of its file.
        folder: Path of the folder to write to.
        data: str. Name of the data set.
        recipe: str. Name of its recipe.
        sequences: The data: `sequences.split(name)`.
        trained_with: `FitSettings` of the recipe; the defaults for what is
            not known.
    """

    model: Any
    model_path: pathlib.Path
    folder: pathlib.Path
    data: str
    recipe: str
    sequences: Any
    trained_with: Any


def load_trained(settings):
    """Loads the model and the data that a verb is to use.

    Args:
        settings: Has `run`, a folder or a `.keras` file, and `data` and
            `data_path`, which, if given, take the place of those of the run.

    Raises:
        RecipeError: There is no model, or no data.
    """
    if not settings.run:
        raise RecipeError(
            "Name the folder of a run or a .keras file. "
            "Received: no `run`. `python -m recipes fit` makes one."
        )
    path = pathlib.Path(settings.run).expanduser()
    model_path = path if path.suffix == ".keras" else path / "best.keras"
    if not model_path.is_file():
        raise RecipeError(
            f"There is no trained model here: {str(model_path)!r} is missing. "
            f"Received: run={settings.run!r}. `python -m recipes fit` makes "
            "one."
        )
    folder = model_path.parent
    from recipes.training.run_folder import RunFolder

    record = RunFolder(folder).read_record()
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
    recipe = name_for(data)
    fit_settings = config_of(recipe).FitSettings
    usual = fit_settings.from_given({"data": data})
    same = {k: v for k, v in known.items() if k in usual.as_dict()}
    same |= {"data": data, "data_path": data_path}
    # JSON has no tuples.
    same = {k: tuple(v) if isinstance(v, list) else v for k, v in same.items()}
    trained_with = fit_settings.from_given(same)
    with told_to_the_user():
        sequences = recipe_of(recipe).load(trained_with)
    return Trained(
        _load_model(model_path),
        model_path,
        folder,
        data,
        recipe,
        sequences,
        trained_with,
    )


def _load_model(path):
    import keras

    import keras_fivo as kf

    with told_to_the_user(f"{path} cannot be loaded. "):
        model = keras.saving.load_model(path, compile=False)
        if not isinstance(model, kf.LatentSequenceModel):
            raise TypeError(
                "The model must be a LatentSequenceModel. "
                f"Received: {type(model).__name__}"
            )
    return model
