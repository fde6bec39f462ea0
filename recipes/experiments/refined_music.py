"""Amortized variational filtering of music, a row of a table at a time.

`python -m recipes.experiments.refined_music`
"""

import pathlib
import sys
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from recipes.experiments import tables
from recipes.experiments.tables import DATA, Data
from recipes.registry import recipe_of
from recipes.settings.base import (
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import EvaluateSettings
from recipes.settings.program import Program
from recipes.training.run_folder import RunFolder

Row = Literal[
    "baseline",
    "refined-1",
    "refined-5",
    "fivo-filtering",
    "fivo-started",
    "fivo-refined",
]
# Free energies of the paper, in nats per step, in the order of `DATA`.
PUBLISHED = {
    "baseline": (3.19, 6.92, 6.27, 8.19),
    "refined-1": (3.13, 6.97, 5.99, 8.12),
    "refined-5": (None, 6.77, None, None),
}
# The SRNN of the paper, trained by its ELBO.
_PAPER: dict[str, Any] = {
    "model": "srnn",
    "networks": "avf",
    "latent_dim": 100,
    "units": 300,
    "hidden_units": (500,),
    "emission_units": (500, 500),
    "bound": "elbo",
    "num_particles": 1,
    "analytic_kl": True,
    "batch_size": 16,
    "chunk_length": 25,
    "evaluation_particles": 4,
}
_REFINED: dict[str, Any] = {
    "proposal": "iterative",
    "normalize_mean": True,
    "update_units": (1024, 1024),
    "gradient_scale": 1 / 16,
    "objective": "em",
}
# The VRNN of the FIVO paper.
_FIVO: dict[str, Any] = {
    "latent_dim": 32,
    "bound": "fivo",
    "num_particles": 4,
    "dropout": 0.1,
    "evaluation_particles": 16,
}
_ROWS: dict[str, dict[str, Any]] = {
    "baseline": _PAPER,
    "refined-1": _PAPER | _REFINED,
    "refined-5": _PAPER | _REFINED | {"num_iterations": 5},
    "fivo-filtering": _FIVO,
    "fivo-started": _FIVO | {"proposal": "iterative", "start": "filtering"},
    "fivo-refined": _FIVO | {"proposal": "iterative"},
}


class MusicSettings(Settings):
    """What the table can be told."""

    heading: ClassVar[str] = "Table"
    data: tuple[Data, ...] = ("jsb",)
    """Names of the data sets."""
    rows: tuple[Row, ...] = ("baseline", "refined-1", "refined-5")
    """Names of the rows: the SRNN of the paper with a filtering proposal, or
    refined once or five times; or a VRNN of 32, trained with FIVO and 4
    particles, whose proposal is filtering, the same refined, or the transition
    refined."""
    updates: Positive = 10_000
    """Number of updates of a run."""
    kl_updates: Natural = 500
    """Number of updates in which the weight of KL divergences grows to 1, in
    the rows of the paper; 0: none."""
    learning_rate: PositiveFloat | None = None
    """Initial learning rate of Adam, which falls to 0 as a cosine. If it is
    not set, 3e-4 in the rows of the paper, and 1e-3 with FIVO."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the recurrent network's output that is dropped in training. If
    it is not set, none in the rows of the paper, and 0.1 with FIVO."""
    transpose: Annotated[int, Field(ge=1, le=11)] | None = None
    """Largest number of semitones that songs of training are moved by. If it
    is not set, they keep their key."""
    validate_every: Positive = 250
    """Number of updates from one validation to the next."""
    num_particles: Positive = 128
    """Number of particles in testing."""
    seed: Natural = 0
    """Seed of the weights, the noise and the order of the data."""
    train: bool = True
    """Whether missing rows are trained, and not only finished ones shown."""
    data_folder: FolderPath | None = None
    """Folder of jsb.npz and so on. If it is not set, data are downloaded."""
    output: FolderPath = "runs/refined-music"
    """Folder of the runs, a folder each, and of table.md."""


def run(settings: MusicSettings) -> None:
    """Trains, tests and prints the rows, one after the other."""
    from recipes.training.evaluation import run_evaluate
    from recipes.training.fitting import run_fit

    for data in settings.data if settings.train else ():
        for row in settings.rows:
            folder = _folder(settings, data, row)
            run_fit(fit_settings(settings, data, row))
            if folder.read_evaluation("test") is None:
                path, count = str(folder.path), settings.num_particles
                run_evaluate(EvaluateSettings(run=path, num_particles=count))
    tables.show(table(settings), settings.output, "table.md")


def fit_settings(settings: MusicSettings, data: Data, row: str) -> Any:
    """Returns what `fit` is told for a row."""
    paper = "networks" in _ROWS[row]
    rate = settings.learning_rate or (3e-4 if paper else 1e-3)
    return recipe_of(data).fit_settings(
        data,
        **_ROWS[row]
        | ({"update": _update(data)} if row.startswith("refined") else {})
        | ({} if settings.dropout is None else {"dropout": settings.dropout}),
        transpose=settings.transpose,
        updates=settings.updates,
        kl_updates=(settings.kl_updates or None) if paper else None,
        learning_rate=rate,
        schedule="cosine",
        patience=settings.updates,
        validate_every=settings.validate_every,
        seed=settings.seed,
        data_path=tables.data_file(settings.data_folder, data),
        tensorboard=False,
        run=str(_folder(settings, data, row).path),
    )


def _update(data: Data) -> str:
    """Returns the paper's update, which depends on the data."""
    large = data in ("musedata", "nottingham")
    return "highway" if large else "learned_sgd"


def table(settings: MusicSettings) -> str:
    """Returns the finished rows beside the published ones, as Markdown."""
    rows = {
        f"{data} {row}": _line(settings, data, row)
        for data in settings.data
        for row in settings.rows
    }
    heads = f"data | row | published | by its protocol | {tables.BOUNDS_HEAD}"
    return tables.markdown(f"{heads} | {tables.RUN_HEADS}", rows)


def _line(settings: MusicSettings, data: Data, row: str) -> list[str] | None:
    folder = _folder(settings, data, row)
    content = folder.read_evaluation("test")
    if content is None:
        return None
    theirs = PUBLISHED.get(row, (None,) * len(DATA))[DATA.index(data)]
    ours = content.get("free_energy_marino")
    return [
        data,
        row,
        "" if theirs is None else str(theirs),
        "" if ours is None else f"{ours:.3f}",
        tables.bounds_cell(content),
        *tables.run_cells(folder.read_record()),
    ]


def _folder(settings: MusicSettings, data: str, row: str) -> RunFolder:
    return RunFolder(pathlib.Path(settings.output) / f"{data}-{row}")


PROGRAM = Program(
    "python -m recipes.experiments.refined_music",
    "Trains and tests rows of the music table of Marino et al. (2018).",
    """\
Trains the SRNN of the paper by its ELBO, with a filtering proposal and with
proposals that are refined; or a VRNN of 32 with FIVO. Prints free energies by
the paper's protocol, and bounds in nats per step, sum over sum, side by side.
Goes on where it was stopped.

  python -m recipes.experiments.refined_music data=jsb rows=baseline
  python -m recipes.experiments.refined_music data=jsb rows=refined-5
  python -m recipes.experiments.refined_music data=piano_midi rows=refined-1""",
    MusicSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
