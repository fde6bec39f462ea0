"""`fit`: trains a model, or goes on with one."""

import dataclasses
import datetime
import importlib.metadata
import shlex
import sys
from typing import Any

import keras

from recipes.errors import RecipeError, told_to_the_user
from recipes.recipe import Recipe
from recipes.registry import recipe_of
from recipes.settings.common import FitSettings
from recipes.training.loop import train
from recipes.training.modelling import build_for
from recipes.training.run_folder import RunFolder

Record = dict[str, Any]


def run_fit(
    settings: FitSettings, verbose: bool = True
) -> tuple[RunFolder, Record]:
    """Trains as the settings say.

    Args:
        settings: Of the recipe that knows the data set.
        verbose: Whether to print. Default: `True`.

    Returns:
        The folder of the run, and its record.

    Raises:
        RecipeError: For what the user can mend, before any training.
    """
    recipe = recipe_of(settings.data)
    folder = RunFolder(settings.folder)
    say = print if verbose else lambda *_: None
    with told_to_the_user():
        data = recipe.load(settings, show_progress=verbose)
        identity = identity_of(settings, data)
        earlier = folder.claim(identity)
    if earlier and earlier["status"] == "finished":
        say(f"The run in {folder.path} is finished: {_outcome(earlier)}.")
        return folder, earlier
    model, train_data, valid_data = _prepare(recipe, data, settings)
    say(f"{settings.data}: {train_data.summary()}")
    say(
        f"{settings.model} of {model.count_params():,} weights, "
        f"{settings.bound} with {settings.num_particles} particles, "
        f"backend {keras.backend.backend()}; run folder {settings.folder}"
    )
    record = new_record(settings, identity, earlier)
    record["weights"] = int(model.count_params())
    folder.write_record(record)
    callbacks = recipe.callbacks(model, data, settings)
    try:
        progress = train(
            model, train_data, valid_data, folder, settings, verbose, callbacks
        )
    except KeyboardInterrupt:
        raise RecipeError(
            f"Stopped. The same command resumes the run in {folder.path}."
        ) from None
    record |= {"status": "finished"} | dataclasses.asdict(progress)
    folder.write_record(record)
    say(f"Finished: {_outcome(record)}.")
    say(f"Best model: {folder.best_path}")
    return folder, record


def identity_of(settings: FitSettings, data: Any) -> Record:
    """Returns what makes a run this one: settings, backend and data."""
    return settings.identity() | {
        "backend": keras.backend.backend(),
        "data_digest": data.digest(),
    }


def new_record(
    settings: Any, identity: Record, earlier: Record | None, verb: str = "fit"
) -> Record:
    """Returns the record of a run that begins, or goes on.

    Args:
        settings: `FitSettings`, or those of `tune`.
        identity: As from `identity_of`.
        earlier: The record so far, or `None`.
        verb: What the run is of. Default: `"fit"`.
    """
    recipe = recipe_of(settings.data)
    usual = getattr(recipe, f"{verb}_settings")(settings.data)
    words = ["python", "-m", "recipes", verb, settings.data]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "command": shlex.join([*words, *settings.arguments(usual)]),
        "status": "running",
        "started": earlier.get("started", now) if earlier else now,
        "settings": settings.as_dict(),
        "identity": identity,
        "versions": _versions(),
    }


def _prepare(recipe: Recipe, data: Any, settings: FitSettings) -> Any:
    with told_to_the_user():
        train_data = recipe.train_batches(data, settings)
        valid_data = recipe.evaluation_batches(
            data.split("valid"),
            settings.evaluation_particles,
            settings.latent_dim,
        )
        model = build_for(recipe, data, train_data, settings)
    return model, train_data, valid_data


def _outcome(record: Record) -> str:
    if record["best"] is None:
        return "no validation bound was finite"
    return (
        f"best validation bound {record['best']:.3f} nats per step after "
        f"{record['best_updates']} of {record['updates']} updates, "
        f"{record['seconds']:.0f} s, stopped by {record['stopped_by']}"
    )


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in ("keras_fivo", "keras", "numpy", "jax", "tensorflow", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
