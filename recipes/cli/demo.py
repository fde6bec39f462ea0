"""`demo`: from nothing to sampled chorales, in minutes."""

import dataclasses
import pathlib

from recipes.cli import program
from recipes.pianoroll.config import (
    EvaluateSettings,
    FitSettings,
    SampleSettings,
)
from recipes.settings.options import Settings, parse, parser_of, setting

SUMMARY = "Train on Bach's chorales for minutes; evaluate; sample."
_DESCRIPTION = """\
Trains a VRNN with FIVO on Bach's four-part chorales, prints its three bounds on
the test split, and samples continuations. Needs no network. Once more, it goes
on with what is there."""


@dataclasses.dataclass(frozen=True)
class DemoSettings(Settings):
    """What `demo` takes."""

    minutes: float = setting(
        4.0, "Minutes of training at most.", "Demo", above=0
    )
    run: str = setting(
        "runs/demo", "Folder of the run.", "Demo", metavar="FOLDER"
    )
    data: str = setting("bach", "Data set.", "Demo")
    data_path: str | None = setting(
        None, "File to read it from.", "Demo", type=str, metavar="FILE"
    )
    seed: int = setting(0, "Of the training and of the samples.", "Demo", low=0)
    num_particles: int = setting(
        128, "Particles of the final bounds.", "Demo", low=1
    )


def parser():
    """The argument parser."""
    return parser_of(DemoSettings, "python -m recipes demo", _DESCRIPTION)


def main(argv):
    """Runs the verb."""
    run_demo(DemoSettings.from_given(parse(DemoSettings, argv, parser())))


def fit_settings(settings):
    """How the demo trains: a large rate, for few minutes."""
    return FitSettings.from_given(
        {
            "data": settings.data,
            "data_path": settings.data_path,
            "minutes": settings.minutes,
            "run": settings.run,
            "seed": settings.seed,
            "learning_rate": 1e-3,
            "dropout": 0.1,
            "clipnorm": 1.0,
            "num_buckets": 3,
            "updates": 20_000,
            "validate_every": 250,
            "patience": 12,
            "tensorboard": False,
        }
    )


def run_demo(settings):
    """Fits, evaluates and samples.

    Args:
        settings: `DemoSettings`.

    Returns:
        The content of the evaluation.
    """
    from recipes.cli.evaluate import run_evaluate
    from recipes.cli.fit import run_fit
    from recipes.cli.sample import run_sample

    run = str(pathlib.Path(settings.run))
    _announce(f"1. Training, {settings.minutes:g} minutes at most")
    run_fit(fit_settings(settings), f"python -m recipes demo run={run}")
    _announce("2. The bounds on sequences that the model has not seen")
    content = run_evaluate(
        EvaluateSettings(run=run, num_particles=settings.num_particles)
    )
    _announce("3. New music")
    run_sample(SampleSettings(run=run, seed=settings.seed))
    _summarize(content, run)
    return content


def _announce(text):
    print(f"\n=== {text} ===\n", flush=True)


def _summarize(content, run):
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
        f"  {run}/samples/*.mid             and to listen to\n"
        f"  {run}/log.csv                   the training\n\n"
        "Next: train for longer, with another bound, or on other data\n\n"
        f"  {program()} fit bach minutes=20 bound=iwae\n"
        f"  {program()} fit --help\n"
        f"  {program()} list"
    )
