"""Amortized variational filtering of speech, a row of a table at a time.

`python -m recipes.experiments.refined_speech`
"""

import sys
import typing
from typing import Any, ClassVar, Literal

from recipes.experiments.rows import (
    Row,
    RowSettings,
    Table,
    row_of,
)
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
NAMES: tuple[Name, ...] = typing.get_args(Name)
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
    num_particles: Positive = 16
    """Number of particles in testing."""
    output: FolderPath = "runs/refined-speech"
    """Folder of the runs, a folder each, and of table.md."""


def _row(settings: SpeechSettings, name: Name, seed: int) -> Row:
    model, kind, *iterations = name.split("-")
    given = _ELBO | {"model": model, "data_path": settings.data_path}
    if kind == "refined":
        usual = recipe_of(settings.data).fit_settings(settings.data)
        given |= _REFINED | _UPDATES[model]
        given["num_iterations"] = int(iterations[0])
        given["gradient_scale"] = 1 / usual.batch_size
        given["objective"] = settings.objective
    cells = (name, str(seed), PUBLISHED.get(name, ""))
    return row_of(settings, (settings.data, name), cells, seed, given)


TABLE = Table("row | seed | published, of TIMIT | free energy", _row)
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
    TABLE.run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
