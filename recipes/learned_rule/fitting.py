"""`fit` of a rule: a run with a record, which resumes."""

import pathlib

import keras

from recipes.errors import RecipeError, told_to_the_user
from recipes.learned_rule import meta_train
from recipes.packages import require
from recipes.training.fitting import new_record
from recipes.training.run_folder import RunFolder


def run_fit(settings):
    """Meta-trains as the settings say, or goes on with what is there.

    Args:
        settings: `FitSettings`.
    """
    folder = RunFolder(settings.folder)
    identity = settings.identity() | {"verb": "meta_train"}
    with told_to_the_user():
        require("Rendering letters", "plots", "matplotlib", "PIL")
        earlier = folder.claim(identity)
    for path in (settings.first, settings.merge):
        if path and not pathlib.Path(path).is_file():
            raise RecipeError(f"There is no such file. Received: {path!r}.")
    record = new_record(settings, identity, earlier)
    folder.write_record(record)
    print(f"Run folder {folder.path}, backend {keras.backend.backend()}")
    try:
        updates = meta_train.train(
            folder.path,
            settings.minutes,
            settings.seed,
            settings.learning_rate,
            updates=settings.updates,
            horizons=settings.horizons,
            unrolls=settings.unrolls,
            say=_tell,
            first=settings.first,
            shapes=settings.shapes,
            penalty=settings.penalty,
            merge=settings.merge,
            estimator=settings.estimator,
        )
    except KeyboardInterrupt:
        raise RecipeError(
            f"Stopped. The same command resumes the run in {folder.path}."
        ) from None
    folder.write_record(record | {"status": "finished", "updates": updates})
    print(f"Finished after {updates} updates: {folder.path / 'meta.keras'}")


def _tell(row):
    print(
        f"{row['updates']:>7} updates, {row['cpu_seconds']:,.0f} s: "
        f"meta-objective {row['loss']:.4f}, accuracy {row['accuracy']:.3f}",
        flush=True,
    )
