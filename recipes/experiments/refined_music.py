"""Amortized variational filtering of music, a row of a table at a time.

`python -m recipes.experiments.refined_music`
"""

import sys
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from recipes.experiments import tables
from recipes.experiments.rows import Row, RowSettings, Table, row_of
from recipes.experiments.tables import DATA, Data
from recipes.settings.base import FolderPath, Positive
from recipes.settings.common import Cell
from recipes.settings.program import Program

Name = Literal[
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
    "learning_rate": 3e-4,
}
_REFINED: dict[str, Any] = {
    "proposal": "iterative",
    "normalize_mean": True,
    "update_units": (1024, 1024),
    "gradient_scale": 1 / 16,
    "objective": "em",
}
# The cells of the FIVO paper.
_FIVO: dict[str, Any] = {
    "latent_dim": 32,
    "bound": "fivo",
    "dropout": 0.1,
    "evaluation_particles": 16,
    "learning_rate": 1e-3,
}
_ROWS: dict[str, dict[str, Any]] = {
    "baseline": _PAPER,
    "refined-1": _PAPER | _REFINED,
    "refined-5": _PAPER | _REFINED | {"num_iterations": 5},
    "fivo-filtering": _FIVO,
    "fivo-started": _FIVO | {"proposal": "iterative", "start": "filtering"},
    "fivo-refined": _FIVO | {"proposal": "iterative"},
}


class MusicSettings(RowSettings):
    """What the table can be told."""

    heading: ClassVar[str] = "Table"
    data: tuple[Data, ...] = ("jsb",)
    """Names of the data sets."""
    rows: tuple[Name, ...] = ("baseline", "refined-1", "refined-5")
    """Names of the rows: the SRNN of the paper with a filtering proposal, or
    refined once or five times; or a cell of 32, trained with FIVO, whose
    proposal is filtering, the same refined, or the transition refined."""
    models: tuple[Cell, ...] = ("vrnn",)
    """Cells of the rows with FIVO."""
    fivo_particles: tuple[Positive, ...] = (4,)
    """Numbers of particles to train the rows with FIVO with."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the recurrent network's output that is dropped in training. If
    it is not set, none in the rows of the paper, and 0.1 with FIVO."""
    transpose: Annotated[int, Field(ge=1, le=11)] | None = None
    """Largest number of semitones that songs of training are moved by. If it
    is not set, they keep their key."""
    data_folder: FolderPath | None = None
    """Folder of jsb.npz and so on. If it is not set, data are downloaded."""
    output: FolderPath = "runs/refined-music"
    """Folder of the runs, a folder each, and of table.md."""


def _row(
    settings: MusicSettings,
    data: Data,
    name: str,
    seed: int,
    model: Cell,
    particles: int,
) -> Row:
    paper = name in PUBLISHED
    if paper:
        model, particles = "srnn", 1
    # What is usual has no place in a name.
    parts = [data, name, *([] if paper or model == "vrnn" else [model])]
    parts += [] if paper or particles == 4 else [f"{particles}-particles"]
    given = _ROWS[name] | {"model": model, "num_particles": particles}
    given["transpose"] = settings.transpose
    given["data_path"] = tables.data_file(settings.data_folder, data)
    if not paper:
        given["kl_updates"] = None
    if settings.dropout is not None:
        given["dropout"] = settings.dropout
    if name.startswith("refined"):
        given["update"] = _update(data)
    theirs = PUBLISHED.get(name, (None,) * len(DATA))[DATA.index(data)]
    told = "" if theirs is None else str(theirs)
    cells = (data, name, model, str(particles), str(seed), told)
    return row_of(settings, parts, cells, seed, given)


def _update(data: Data) -> str:
    """Returns the update of the paper, which depends on the data."""
    large = data in ("musedata", "nottingham")
    return "highway" if large else "learned_sgd"


TABLE = Table(
    "data | row | model | N | seed | published | by its protocol",
    _row,
    lambda content: content.get("free_energy_marino"),
    ("data", "rows", "seeds", "models", "fivo_particles"),
)
PROGRAM = Program(
    "python -m recipes.experiments.refined_music",
    "Trains and tests rows of the music table of Marino et al. (2018).",
    """\
Trains the SRNN of the paper by its ELBO, with a filtering proposal and with
proposals that are refined; or a VRNN or SRNN of 32 with FIVO. Prints free
energies by the paper's protocol, and bounds in nats per step, sum over sum,
side by side. Goes on where it was stopped.

  python -m recipes.experiments.refined_music data=jsb rows=baseline
  python -m recipes.experiments.refined_music data=jsb rows=refined-5
  python -m recipes.experiments.refined_music data=piano_midi rows=refined-1
  python -m recipes.experiments.refined_music seeds=0,1,2 models=vrnn,srnn \\
      fivo_particles=4,16 rows=fivo-filtering,fivo-started,fivo-refined""",
    MusicSettings(),
    TABLE.run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
