"""Finds a trained model, and the data that it was trained on."""

import dataclasses
import pathlib
from typing import Any

from recipes.errors import RecipeError, told_to_the_user
from recipes.pianoroll.config import FitSettings


@dataclasses.dataclass
class Trained:
    """A trained model and what belongs to it.

    Attributes:
        model: `keras_fivo.LatentSequenceModel`.
        model_path: Path of its file.
        folder: Path of the folder to write to.
        data: str. Name of the data set.
        rolls: `PianoRolls`.
        resampling: Settings with `scheme`, `criterion` and so on.
    """

    model: Any
    model_path: pathlib.Path
    folder: pathlib.Path
    data: str
    rolls: Any
    resampling: Any


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
    from recipes.run_folder import RunFolder

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
    fields = ("scheme", "criterion", "ess_fraction", "temperature")
    resampling = FitSettings(
        **{name: known[name] for name in fields if name in known}
    )
    from recipes.pianoroll.data import load

    with told_to_the_user():
        rolls = load(data, data_path)
    return Trained(
        _load_model(model_path), model_path, folder, data, rolls, resampling
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
