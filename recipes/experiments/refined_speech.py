"""Amortized variational filtering of speech, a row of a table at a time.

`python -m recipes.experiments.refined_speech`
"""

import itertools
import pathlib
import sys
from typing import Any, ClassVar, Literal

from recipes.experiments.rows import Row, RowSettings, negative_elbo, run_rows
from recipes.registry import recipe_of
from recipes.settings.base import (
    FilePath,
    FolderPath,
    Positive,
    PositiveFloat,
)
from recipes.settings.program import Program

Name = Literal[
    "vrnn-baseline",
    "vrnn-refined-1",
    "vrnn-refined-2",
    "srnn-baseline",
    "srnn-refined-1",
    "srnn-refined-2",
]
NAMES: tuple[Name, ...] = (
    "vrnn-baseline",
    "vrnn-refined-1",
    "vrnn-refined-2",
    "srnn-baseline",
    "srnn-refined-1",
    "srnn-refined-2",
)
# Free energies of the paper on TIMIT, in nats per step of 200 samples.
PUBLISHED = {
    "vrnn-baseline": "1,082",
    "vrnn-refined-1": "1,105",
    "vrnn-refined-2": "1,071",
    "srnn-baseline": "1,026",
    "srnn-refined-1": "1,024",
}
_ELBO: dict[str, Any] = {
    "emission": "quantized_normal",
    "bound": "elbo",
    "num_particles": 1,
    "analytic_kl": True,
    "evaluation_particles": 4,
}
# What the paper refines with, smaller; it depends on the cell.
_REFINED: dict[str, Any] = {
    "proposal": "iterative",
    "update_units": (256, 256),
}
_UPDATES: dict[str, dict[str, Any]] = {
    "vrnn": {"update": "learned_sgd", "normalize_mean": True},
    "srnn": {"update": "highway"},
}


class SpeechSettings(RowSettings):
    """What the table can be told."""

    heading: ClassVar[str] = "Table"
    data: Literal["digits", "timit", "ljspeech", "speech"] = "digits"
    """Name of the data set."""
    data_path: FilePath | None = None
    """File or folder to read it from, in place of its own source."""
    rows: tuple[Name, ...] = NAMES
    """Names of the rows: a VRNN or SRNN with a filtering proposal, or with the
    transition refined once or twice."""
    objective: Literal["joint", "em"] = "em"
    """What trains refinements: `em`, as in the paper, their own free energies;
    `joint`, the bound."""
    updates: Positive = 8_000
    """Number of updates of a run."""
    cpu_minutes: PositiveFloat | None = 30.0
    """Largest number of minutes of processor time of a run."""
    output: FolderPath = "runs/refined-speech"
    """Folder of the runs, a folder each, and of table.md."""


def run(settings: SpeechSettings) -> None:
    """Trains, tests and prints the rows, one after the other."""
    run_rows(
        rows_of(settings),
        "row | seed | published, of TIMIT | free energy",
        negative_elbo,
        settings,
    )


def rows_of(settings: SpeechSettings) -> list[Row]:
    """Returns the rows of all seeds."""
    pairs = itertools.product(settings.rows, settings.seeds)
    return [_row(settings, name, seed) for name, seed in pairs]


def _row(settings: SpeechSettings, name: Name, seed: int) -> Row:
    model, kind, *iterations = name.split("-")
    recipe = recipe_of(settings.data)
    usual = recipe.fit_settings(settings.data)
    refined: dict[str, Any] = {}
    if kind == "refined":
        refined = _REFINED | _UPDATES[model]
        refined["num_iterations"] = int(iterations[0])
        refined["gradient_scale"] = 1 / usual.batch_size
        refined["objective"] = settings.objective
    folder = f"{settings.data}-{name}" + (f"-seed-{seed}" if seed else "")
    fit = usual.changed(
        **_ELBO | refined | settings.limits(),
        model=model,
        kl_updates=settings.kl_updates or None,
        learning_rate=settings.learning_rate or usual.learning_rate,
        seed=seed,
        data_path=settings.data_path,
        run=str(pathlib.Path(settings.output) / folder),
    )
    return Row(folder, (name, str(seed), PUBLISHED.get(name, "")), fit)


PROGRAM = Program(
    "python -m recipes.experiments.refined_speech",
    "Trains and tests rows of the speech table of Marino et al. (2018).",
    """\
Trains a VRNN and an SRNN of speech by the ELBO, with a filtering proposal and
with proposals that are refined once or twice. Prints free energies in nats per
step, of the probability of 16-bit levels, lower is better, and all three
bounds. Goes on where it was stopped. The published rows are of TIMIT, and of
larger networks.

  python -m recipes.experiments.refined_speech rows=vrnn-baseline
  python -m recipes.experiments.refined_speech rows=vrnn-refined-1
  python -m recipes.experiments.refined_speech data_path=digits.npz \\
      rows=srnn-baseline,srnn-refined-1,srnn-refined-2""",
    SpeechSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
