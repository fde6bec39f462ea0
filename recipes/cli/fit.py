"""`fit`: trains a model, or goes on with one."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import shlex
import sys

import numpy as np

from recipes.errors import RecipeError, told_to_the_user
from recipes.pianoroll.config import SPLITS, FitSettings
from recipes.settings import parse, parser_of

SUMMARY = "Train a model, or resume a training that was stopped."
_DESCRIPTION = """\
Trains a latent sequence model on piano rolls. The best model by the bound on
the validation split is kept as best.keras in the folder of the run. A run that
was killed goes on when the same command is given again.

  python -m recipes fit bach
  python -m recipes fit jsb data_path=jsb.npz bound=fivo num_particles=4 \\
      run=runs/jsb-fivo"""


def parser():
    """The argument parser."""
    return parser_of(
        FitSettings, "python -m recipes fit", _DESCRIPTION, positional="data"
    )


def main(argv):
    """Runs the verb."""
    given = parse(FitSettings, argv, parser(), positional="data")
    command = shlex.join(["python", "-m", "recipes", "fit", *argv])
    run_fit(FitSettings.from_given(given), command)


def run_fit(settings, command="", verbose=True):
    """Trains as the settings say.

    Args:
        settings: `FitSettings`.
        command: str. What is noted in the record. Default: nothing.
        verbose: bool. Default: `True`.

    Returns:
        `(RunFolder, record)`.

    Raises:
        RecipeError: For what the user can mend, before any training.
    """
    from recipes.pianoroll.data import load
    from recipes.run_folder import RunFolder

    folder = RunFolder(settings.folder)
    say = print if verbose else _silent
    with told_to_the_user():
        rolls = load(settings.data, settings.data_path, show_progress=verbose)
        identity = identity_of(settings, rolls)
        record = folder.claim(identity)
    if record and record["status"] == "finished":
        say(f"The run in {folder.path} is finished: {_outcome(record)}.")
        return folder, record
    model, train_data, valid_data = _prepare(settings, rolls, say)
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
    from recipes.training import train

    try:
        progress = train(
            model, train_data, valid_data, folder, settings, verbose
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


def _prepare(settings, rolls, say):
    from recipes.modelling import build_model
    from recipes.pianoroll.batches import evaluation_batches, train_batches

    with told_to_the_user():
        train_data = train_batches(rolls, settings)
        valid_data = evaluation_batches(
            rolls.valid, settings.evaluation_particles, settings.latent_dim
        )
        model = build_model(settings, train_data, "bernoulli")
    say(f"{settings.data}: {train_data.summary()}")
    say(
        f"{settings.model} of {model.count_params():,} weights, "
        f"{settings.bound} with {settings.num_particles} particles, "
        f"backend {_backend()}; run folder {settings.folder}"
    )
    return model, train_data, valid_data


def identity_of(settings, rolls):
    """What makes a run this one: settings, backend and data."""
    return settings.identity() | {
        "backend": _backend(),
        "data_digest": digest(rolls),
    }


def digest(rolls):
    """What tells one data set from another."""
    found = hashlib.sha256()
    for split in SPLITS:
        for roll in rolls.split(split):
            found.update(str(roll.shape).encode())
            found.update(np.packbits(roll).tobytes())
    return found.hexdigest()[:16]


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
