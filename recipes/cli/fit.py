"""`fit`: trains a model, or goes on with one."""

import dataclasses
import datetime
import importlib.metadata
import shlex
import sys

from recipes.errors import RecipeError, told_to_the_user
from recipes.registry import config_of, name_for, name_in_fit, recipe_of
from recipes.settings.options import parse, parser_of

SUMMARY = "Train a model, or resume a training that was stopped."
_DESCRIPTION = """\
Trains a latent sequence model. The best model by the bound on the validation
split is kept as best.keras in the folder of the run. A run that was killed goes
on when the same command is given again. The settings depend on the data:
`python -m recipes fit DATA --help`; `python -m recipes list` names them.

  python -m recipes fit bach
  python -m recipes fit jsb data_path=jsb.npz bound=fivo num_particles=4 \\
      run=runs/jsb-fivo"""


def parser(recipe):
    """The argument parser, for a recipe."""
    return parser_of(
        config_of(recipe).FitSettings,
        "python -m recipes fit",
        _DESCRIPTION,
        positional="data",
    )


def main(argv):
    """Runs the verb."""
    recipe = name_in_fit(argv)
    settings = config_of(recipe).FitSettings
    given = parse(settings, argv, parser(recipe), positional="data")
    command = shlex.join(["python", "-m", "recipes", "fit", *argv])
    run_fit(settings.from_given(given), command)


def run_fit(settings, command="", verbose=True):
    """Trains as the settings say.

    Args:
        settings: `FitSettings` of a recipe.
        command: str. What is noted in the record. Default: nothing.
        verbose: bool. Default: `True`.

    Returns:
        `(RunFolder, record)`.

    Raises:
        RecipeError: For what the user can mend, before any training.
    """
    from recipes.training.run_folder import RunFolder

    recipe = recipe_of(name_for(settings.data))
    folder = RunFolder(settings.folder)
    say = print if verbose else _silent
    with told_to_the_user():
        data = recipe.load(settings, show_progress=verbose)
        identity = identity_of(settings, data)
        record = folder.claim(identity)
    if record and record["status"] == "finished":
        say(f"The run in {folder.path} is finished: {_outcome(record)}.")
        return folder, record
    model, batches, callbacks = _prepare(recipe, data, settings, say)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = {
        "command": command,
        "status": "running",
        "started": record["started"] if record else now,
        "settings": settings.as_dict(),
        "identity": identity,
        "versions": versions(),
        "weights": int(model.count_params()),
    }
    folder.write_record(record)
    from recipes.training.loop import train

    try:
        progress = train(model, *batches, folder, settings, verbose, callbacks)
    except KeyboardInterrupt:
        raise RecipeError(
            f"Stopped. The same command resumes the run in {folder.path}."
        ) from None
    record |= {"status": "finished"} | dataclasses.asdict(progress)
    folder.write_record(record)
    say(f"Finished: {_outcome(record)}.")
    say(f"Best model: {folder.best_path}")
    return folder, record


def _prepare(recipe, data, settings, say):
    from recipes.training.modelling import build_for

    with told_to_the_user():
        train_data = recipe.train_batches(data, settings)
        valid_data = recipe.evaluation_batches(
            data.split("valid"),
            settings.evaluation_particles,
            settings.latent_dim,
        )
        model = build_for(recipe, data, train_data, settings)
    callbacks = []
    if hasattr(recipe, "callbacks"):
        callbacks = recipe.callbacks(model, data, settings)
    say(f"{settings.data}: {train_data.summary()}")
    say(
        f"{settings.model} of {model.count_params():,} weights, "
        f"{settings.bound} with {settings.num_particles} particles, "
        f"backend {_backend()}; run folder {settings.folder}"
    )
    return model, (train_data, valid_data), callbacks


def identity_of(settings, data):
    """What makes a run this one: settings, backend and data."""
    return settings.identity() | {
        "backend": _backend(),
        "data_digest": data.digest(),
    }


def _backend():
    import keras

    return keras.backend.backend()


def _outcome(record):
    if record["best"] is None:
        return "no validation bound was finite"
    return (
        f"best validation bound {record['best']:.3f} nats per step after "
        f"{record['best_updates']} of {record['updates']} updates, "
        f"{record['seconds']:.0f} s, stopped by {record['stopped_by']}"
    )


def _silent(*_):
    pass


def versions():
    """Versions of Python and of the packages that matter."""
    found = {"python": sys.version.split()[0]}
    for name in ("keras_fivo", "keras", "numpy", "jax", "tensorflow", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
