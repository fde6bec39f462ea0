"""`tune`: searches for better settings."""

import importlib.util
import math
import shlex

from recipes.cli import program
from recipes.errors import RecipeError, told_to_the_user
from recipes.registry import config_of, name_for, name_in_fit, recipe_of
from recipes.settings.options import parse, parser_of

SUMMARY = "Search for better settings with KerasTuner."
_DESCRIPTION = """\
Searches for settings whose validation bound is best. All trials are judged by
one bound with the same particles and noise, whatever they are trained with.
Limits of updates and minutes are those of each trial. A search that was killed
goes on when the same command is given again; the trial that was cut off is run
anew. The best model is kept as best.keras.

  python -m recipes tune bach trials=12 minutes=3
  python -m recipes tune jsb data_path=jsb.npz search=learning_rate,dropout \\
      bound=fivo num_particles=4 algorithm=random"""


def parser(recipe):
    """The argument parser, for a recipe."""
    return parser_of(
        config_of(recipe).TuneSettings,
        "python -m recipes tune",
        _DESCRIPTION,
        positional="data",
    )


def main(argv):
    """Runs the verb."""
    recipe = name_in_fit(argv)
    settings = config_of(recipe).TuneSettings
    given = parse(settings, argv, parser(recipe), positional="data")
    command = shlex.join(["python", "-m", "recipes", "tune", *argv])
    run_tune(settings.from_given(given), command)


def run_tune(settings, command=""):
    """Searches as the settings say.

    Args:
        settings: `TuneSettings` of a recipe.
        command: str. What is noted in the record. Default: nothing.

    Returns:
        The rows of the table of trials, the best first.
    """
    _require_packages(settings.algorithm)
    from recipes.cli.fit import identity_of, versions
    from recipes.training.run_folder import RunFolder
    from recipes.training.search import known_in, space_of

    name = name_for(settings.data)
    recipe, known = recipe_of(name), known_in(space_of(name))
    for name in settings.search:
        if name not in known:
            raise RecipeError(
                f"`search` may name {', '.join(known)}. "
                f"Received: search with {name!r}."
            )
    folder = RunFolder(settings.folder)
    with told_to_the_user():
        data = recipe.load(settings)
        identity = identity_of(settings, data) | {"verb": "tune"}
        earlier = folder.claim(identity)
        per_epoch = len(recipe.train_batches(data, settings))
    if earlier:
        print(f"Going on with the search in {folder.path}.")
    record = {
        "command": command,
        "status": "running",
        "settings": settings.as_dict(),
        "identity": identity,
        "versions": versions(),
    }
    folder.write_record(record)
    from recipes.training.hypermodel import RecipeHyperModel
    from recipes.training.tuning import make_tuner

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


def _finish(tuner, folder, record, settings):
    from recipes.training.run_folder import MONITOR, write_json
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
        f"Test it:    {program()} evaluate {folder.path}\n"
        f"Go further: {program()} fit {_as_fit(settings, found)}"
    )
    return rows


def _as_fit(settings, found):
    """The arguments of `fit` that train with what was found."""
    fit_settings = config_of(name_for(settings.data)).FitSettings
    usual = fit_settings.from_given({"data": settings.data}).as_dict()
    wanted = settings.as_dict() | found
    limits = ("updates", "minutes", "cpu_minutes", "patience", "run")
    kept = [
        f"{name}={_plain(wanted[name])}"
        for name, value in usual.items()
        if wanted[name] != value and name not in (*limits, "validate_every")
    ]
    return shlex.join([settings.data, *kept])


def _plain(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else value


def _require_packages(algorithm):
    import keras

    needed = ["keras_tuner"]
    if algorithm == "bayesian":
        needed.append("sklearn")
    if keras.backend.backend() == "tensorflow":
        # Without it KerasTuner loses its checkpoints, and does not say why.
        needed.append("tensorboard")
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise RecipeError(
                f"`tune algorithm={algorithm}` needs the package {name}. "
                'Run `pip install "keras_fivo[tuner]"`.'
            )
