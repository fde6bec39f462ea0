"""`preset`: a folder to share, from the folder of a run."""

import os
import pathlib
import shlex
from typing import Any

from recipes.errors import RecipeError, told_to_the_user
from recipes.presets.card import model_card, reported_bound
from recipes.presets.config import PresetSettings
from recipes.registry import recipe_of
from recipes.settings.common import EvaluateSettings
from recipes.storage import scratch_folder, write_json
from recipes.training.evaluation import run_evaluate
from recipes.training.modelling import build_bound
from recipes.training.run_folder import RunFolder
from recipes.training.trained import Trained, load_trained

Record = dict[str, Any]


def run_preset(settings: PresetSettings) -> pathlib.Path:
    """Makes a preset of a finished run, with its card.

    The test split is scored where it was not yet. The preset keeps the record
    of the run without its paths, so that `fit`, `tune`, `evaluate` and
    `sample` know how it was trained.

    Returns:
        The folder of the preset.

    Raises:
        RecipeError: The run is not finished, or the folder exists.
    """
    trained = load_trained(settings)
    record = RunFolder(trained.folder).read_record()
    if record is None or record["status"] != "finished":
        raise RecipeError(
            "A preset is made of a run that is finished: give the command of "
            f"`fit` again. Received: run={settings.run!r}."
        )
    name = settings.name or trained.folder.name
    target = pathlib.Path(settings.output).expanduser() / name
    if target.exists():
        raise RecipeError(
            f"The folder {str(target)!r} exists: choose another name or "
            f"output, or remove it. Received: name={name!r}."
        )
    content = _evaluation(trained, settings) | {"model": name}
    record = shareable(record)
    reported = reported_bound(record, content)
    trained.model.evaluation_bound = build_bound(
        reported, settings.num_particles, trained.trained_with
    )
    card = model_card(name, trained.recipe, record, content)
    with told_to_the_user(), scratch_folder(target) as scratch:
        folder = scratch / name
        trained.model.save_to_preset(folder, card)
        made = RunFolder(folder)
        made.write_record(record)
        write_json(made.evaluation_path(settings.split), content)
        os.rename(folder, target)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"Preset: {target}, {size / 1024:,.0f} KiB")
    return target


def shareable(record: Record) -> Record:
    """Returns the record of a run without paths of this machine."""
    recipe = recipe_of(record["settings"]["data"])
    usual = recipe.fit_settings(record["settings"]["data"])
    known = {k: v for k, v in record["settings"].items() if k in dict(usual)}
    settings = usual.changed(**{**known, "data_path": None, "run": None})
    settings = settings.changed(tensorboard=usual.tensorboard)
    words = ["python", "-m", "recipes", "fit", settings.data]
    return record | {
        "command": shlex.join([*words, *settings.arguments(usual)]),
        "settings": settings.as_dict(),
    }


def _evaluation(trained: Trained, settings: PresetSettings) -> Record:
    """Returns what `evaluate` found, or finds now."""
    folder = RunFolder(trained.folder)
    content: Record | None = folder.read_evaluation(settings.split)
    if content is not None:
        known = all("kl_per_step" in row for row in content["bounds"].values())
        if known and content["num_particles"] == settings.num_particles:
            return content
    found: Record = run_evaluate(
        EvaluateSettings(
            run=settings.run,
            data=settings.data,
            data_path=settings.data_path,
            split=settings.split,
            num_particles=settings.num_particles,
        )
    )
    return found
