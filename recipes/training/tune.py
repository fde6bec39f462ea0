"""`tune`: searches for better settings."""

import math
import shlex
from typing import Any

import keras

from recipes.errors import RecipeError, told_to_the_user
from recipes.packages import require
from recipes.registry import recipe_of
from recipes.settings.program import this_program
from recipes.training.fitting import Record, identity_of, new_record
from recipes.training.run_folder import MONITOR, RunFolder, write_json


def run_tune(settings: Any) -> list[dict[str, Any]]:
    """Searches as the settings say.

    Args:
        settings: As from a recipe's `tune_settings`.

    Returns:
        The rows of the table of trials, the best first.
    """
    _require_packages(settings.algorithm)
    from recipes.training.hypermodel import RecipeHyperModel
    from recipes.training.tuning import make_tuner

    recipe, folder = recipe_of(settings.data), RunFolder(settings.folder)
    with told_to_the_user():
        data = recipe.load(settings)
        identity = identity_of(settings, data) | {"verb": "tune"}
        earlier = folder.claim(identity)
        per_epoch = len(recipe.train_batches(data, settings))
    if earlier:
        print(f"Going on with the search in {folder.path}.")
    record = new_record(settings, identity, earlier, "tune")
    folder.write_record(record)
    tuner = make_tuner(
        settings.algorithm,
        RecipeHyperModel(data, settings),
        folder.path,
        settings,
        math.ceil(settings.updates / per_epoch),
    )
    try:
        tuner.search(verbose=0)
    except KeyboardInterrupt:
        raise RecipeError(
            f"Stopped. The same command goes on with {folder.path}."
        ) from None
    return _finish(tuner, folder, record, settings)


def _finish(
    tuner: Any, folder: RunFolder, record: Record, settings: Any
) -> list[dict[str, Any]]:
    from recipes.training.tuning import best_model, trial_rows, trial_table

    rows = trial_rows(tuner)
    write_json(folder.path / "trials.json", rows)
    print()
    print(trial_table(rows, settings.search))
    best = rows[0]
    if best[MONITOR] is None:
        raise RecipeError("No trial had a finite bound.")
    folder.save_best(best_model(tuner))
    found = {name: best["settings"][name] for name in settings.search}
    record |= {
        "status": "finished",
        "best": best[MONITOR],
        "best_settings": found,
    }
    folder.write_record(record)
    print(
        f"\nBest model: {folder.best_path} ({best[MONITOR]:.3f} nats per step "
        "on the validation split)\n"
        f"Test it:    {this_program()} evaluate {folder.path}\n"
        f"Go further: {this_program()} fit {_as_fit(settings, found)}"
    )
    return rows


def _as_fit(settings: Any, found: dict[str, Any]) -> str:
    """Returns the arguments of `fit` that train with what was found."""
    usual = recipe_of(settings.data).fit_settings(settings.data)
    limits = ("updates", "minutes", "cpu_minutes", "patience")
    limits += ("validate_every", "run")
    wanted = {**dict(settings), **found}
    kept = {name: wanted[name] for name, _ in usual if name not in limits}
    words = usual.changed(**kept).arguments(usual)
    return shlex.join([settings.data, *words])


def _require_packages(algorithm: str) -> None:
    needed = ["keras_tuner"]
    if algorithm == "bayesian":
        needed.append("sklearn")
    if keras.backend.backend() == "tensorflow":
        # Without it KerasTuner loses its checkpoints, and does not say why.
        needed.append("tensorboard")
    with told_to_the_user():
        require(f"`tune algorithm={algorithm}`", "tuner", *needed)
