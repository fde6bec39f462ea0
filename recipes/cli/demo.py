"""`demo`: from nothing to sampled chorales, in minutes."""

import pathlib
from typing import Any, ClassVar

from recipes.registry import recipe_of
from recipes.settings.base import (
    FilePath,
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import EvaluateSettings
from recipes.settings.program import Program, this_program

_DESCRIPTION = """\
Trains a VRNN with FIVO on Bach's four-part chorales, prints its three bounds on
the test split, and samples continuations. Needs no network. Once more, it goes
on with what is there."""


class DemoSettings(Settings):
    """What `demo` can be told."""

    heading: ClassVar[str] = "Demo"
    minutes: PositiveFloat = 4.0
    """Largest number of minutes of training."""
    run: FolderPath = "runs/demo"
    """Folder of the run."""
    data: str = "bach"
    """Name of the data set, of piano rolls."""
    data_path: FilePath | None = None
    """File to read the data set from, in place of its own source."""
    seed: Natural = 0
    """Seed of the training and of the samples."""
    num_particles: Positive = 128
    """Number of particles of the final bounds."""


def run_demo(settings: DemoSettings) -> dict[str, Any]:
    """Fits, evaluates and samples.

    Returns:
        The content of the evaluation.
    """
    from recipes.training.evaluation import run_evaluate
    from recipes.training.fitting import run_fit
    from recipes.training.trained import run_sample

    run, recipe = str(pathlib.Path(settings.run)), recipe_of(settings.data)
    _announce(f"1. Training, {settings.minutes:g} minutes at most")
    run_fit(_fit_settings(settings))
    _announce("2. The bounds on sequences that the model has not seen")
    content = run_evaluate(
        EvaluateSettings(run=run, num_particles=settings.num_particles)
    )
    _announce("3. New music")
    run_sample(recipe.sample_settings.changed(run=run, seed=settings.seed))
    _summarize(content, run)
    return content


def _fit_settings(settings: DemoSettings) -> Any:
    """Returns how the demo trains: a large rate, for few minutes."""
    return recipe_of(settings.data).fit_settings(
        settings.data,
        data_path=settings.data_path,
        minutes=settings.minutes,
        run=settings.run,
        seed=settings.seed,
        learning_rate=1e-3,
        dropout=0.1,
        clipnorm=1.0,
        num_buckets=3,
        updates=20_000,
        validate_every=250,
        patience=12,
        tensorboard=False,
    )


def _announce(text: str) -> None:
    print(f"\n=== {text} ===\n", flush=True)


def _summarize(content: dict[str, Any], run: str) -> None:
    bound = content["bounds"]["fivo"]["bound_per_step"]
    baseline = content["baseline"]["bound_per_step"]
    _announce("Done")
    print(
        f"On the test split the model reaches {bound:.2f} nats per step (FIVO, "
        f"{content['num_particles']} particles);\nindependent notes, "
        f"{baseline:.2f}.\n\n"
        f"  {run}/best.keras                the model, for load_model\n"
        f"  {run}/evaluation-test.json      the bounds\n"
        f"  {run}/samples/rolls.png         continuations, to look at\n"
        f"  {run}/samples/*.wav             and to listen to; *.mid: notes\n"
        f"  {run}/log.csv                   the training\n\n"
        "Next: train for longer, with another bound, or on other data\n\n"
        f"  {this_program()} fit bach minutes=20 bound=iwae\n"
        f"  {this_program()} fit --help\n"
        f"  {this_program()} list"
    )


DEMO = Program(
    "python -m recipes demo",
    "Trains on Bach's chorales for minutes; evaluates; samples.",
    _DESCRIPTION,
    DemoSettings(),
    run_demo,
)
