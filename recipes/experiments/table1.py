"""Table 1 of Maddison et al. (2017): `python -m recipes.experiments.table1`."""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

from recipes.experiments import tables
from recipes.experiments.tables import DATA, Data
from recipes.presets.card import reported_bound
from recipes.recipe import Recipe
from recipes.registry import recipe_of
from recipes.settings.base import (
    FolderPath,
    Natural,
    NaturalFloat,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import BOUNDS, Bound, EvaluateSettings
from recipes.settings.program import Program
from recipes.training.run_folder import RunFolder

# Nats per step on the test split, 128 particles, of the cells that were at
# hand: by bound and number of particles in training, in the order of `DATA`.
PUBLISHED = {
    ("elbo", 4): (-3.00, -8.60, -7.15, -7.81),
    ("iwae", 4): (-2.75, -7.86, -7.20, -7.86),
    ("fivo", 4): (-2.68, -6.90, -6.20, -7.76),
    ("fivo", 8): (-2.77, -6.79, -6.12, -7.45),
    ("elbo", 16): (-3.02, -8.63, -7.18, -7.85),
    ("iwae", 16): (-2.85, -7.41, -7.13, -7.79),
    ("fivo", 16): (-2.58, -6.72, -5.89, -7.43),
}


class CellSettings(Settings):
    """Which cells of the table."""

    heading: ClassVar[str] = "Cells"
    data: tuple[Data, ...] = DATA
    """Names of the data sets."""
    bounds: tuple[Bound, ...] = BOUNDS
    """Bounds to train with."""
    num_particles: tuple[Positive, ...] = (4, 8, 16)
    """Numbers of particles to train with."""
    seeds: tuple[Natural, ...] = (0,)
    """Seeds of a cell; the best by the validation split is tested."""
    data_folder: FolderPath | None = None
    """Folder of jsb.npz, nottingham.npz and so on. If it is not set, the data
    are downloaded."""


class TrainingSettings(Settings):
    """How each cell is trained."""

    heading: ClassVar[str] = "Training"
    updates: Positive = 40_000
    """Largest number of updates of a run."""
    cpu_minutes: PositiveFloat | None = None
    """Largest number of minutes of processor time of a run."""
    patience: Positive = 100
    """Number of validations without a better bound after which a run stops."""
    validate_every: Positive = 200
    """Number of updates from one validation to the next."""
    learning_rate: PositiveFloat = 1e-3
    """Initial learning rate of Adam; it falls to 0 as a cosine."""
    dropout: NaturalFloat = 0.1
    """Rate of dropout."""
    chunk_length: Positive | None = None
    """Number of steps of the pieces that longer training sequences are cut
    into. If it is not set, they stay whole."""
    evaluation_particles: Positive = 32
    """Number of particles in validation."""


# The last base comes first in the help.
class TableSettings(TrainingSettings, CellSettings):
    """What `table1` can be told."""

    train: bool = True
    """Whether missing cells are trained, and not only finished ones shown."""
    output: FolderPath = "runs/table1"
    """Folder of the runs, a folder each, and of table1.md."""


def run(settings: TableSettings) -> None:
    """Trains, tests and prints the cells, one after the other."""
    for data, bound, num_particles in _cells(settings):
        if settings.train:
            train_cell(settings, data, bound, num_particles)
    tables.show(table(settings), settings.output, "table1.md")


def train_cell(
    settings: TableSettings, data: Data, bound: str, num_particles: int
) -> None:
    """Trains a cell with each seed; tests the best by the validation split.

    What is there is not done again: a run that was killed goes on, and the
    test split is scored once.
    """
    from recipes.training.evaluation import run_evaluate
    from recipes.training.fitting import run_fit

    recipe = recipe_of(data)
    for seed in settings.seeds:
        run_fit(
            _fit_settings(recipe, settings, data, bound, num_particles, seed)
        )
    best = best_run(settings, data, bound, num_particles)
    if best is not None and best.read_evaluation("test") is None:
        run_evaluate(EvaluateSettings(run=str(best.path)))


def best_run(
    settings: TableSettings, data: str, bound: str, num_particles: int
) -> RunFolder | None:
    """Returns the finished run of a cell with the best validation bound.

    Returns:
        `None` if a seed is not finished: the choice is not made yet.
    """
    found = []
    for seed in settings.seeds:
        folder = RunFolder(_folder(settings, data, bound, num_particles, seed))
        record = folder.read_record()
        if not record or record["status"] != "finished":
            return None
        best = record["best"]
        found.append((-float("inf") if best is None else best, folder))
    return max(found, key=lambda pair: pair[0])[1]


def table(settings: TableSettings) -> str:
    """Returns the tested cells beside the published ones, as Markdown."""
    rows = {
        f"{data} {bound.upper()} {num_particles}": _row(
            settings, data, bound, num_particles
        )
        for data, bound, num_particles in _cells(settings)
    }
    heads = f"data | N | bound | ours | published | {tables.BOUNDS_HEAD} | KL"
    return tables.markdown(f"{heads} | {tables.RUN_HEADS} | seed", rows)


def _row(
    settings: TableSettings, data: Data, bound: str, num_particles: int
) -> list[str] | None:
    best = best_run(settings, data, bound, num_particles)
    content = best and best.read_evaluation("test")
    if content is None:
        return None
    record = best.read_record()
    reported = content["bounds"][reported_bound(record, content)]
    published = PUBLISHED.get((bound, num_particles))
    return [
        data,
        str(num_particles),
        bound.upper(),
        f"**{reported['bound_per_step']:.3f}**",
        f"{published[DATA.index(data)]:.2f}" if published else "",
        tables.bounds_cell(content),
        f"{reported['kl_per_step']:.3f}",
        *tables.run_cells(record),
        str(record["settings"]["seed"]),
    ]


def _cells(settings: TableSettings) -> Iterator[tuple[Data, str, int]]:
    for data in settings.data:
        for num_particles in settings.num_particles:
            for bound in settings.bounds:
                yield data, bound, num_particles


def _folder(
    settings: TableSettings,
    data: str,
    bound: str,
    num_particles: int,
    seed: int,
) -> pathlib.Path:
    root = pathlib.Path(settings.output).expanduser()
    return root / f"{data}-{bound}-{num_particles}-{seed}"


def _fit_settings(
    recipe: Recipe,
    settings: TableSettings,
    data: Data,
    bound: str,
    num_particles: int,
    seed: int,
) -> Any:
    return recipe.fit_settings(
        data,
        **{
            name: getattr(settings, name)
            for name in TrainingSettings.model_fields
        },
        data_path=tables.data_file(settings.data_folder, data),
        bound=bound,
        num_particles=num_particles,
        seed=seed,
        schedule="cosine",
        tensorboard=False,
        run=str(_folder(settings, data, bound, num_particles, seed)),
    )


PROGRAM = Program(
    "python -m recipes.experiments.table1",
    "Trains and tests the cells of Table 1 of the FIVO paper.",
    """\
Trains a VRNN with ELBO, IWAE and FIVO on four sets of music, tests it with 128
particles, and prints each cell beside the published one (Maddison et al., 2017,
Table 1). Goes on where it was stopped. A model trained with FIVO is reported
with its FIVO bound, another with the largest of its three.

  python -m recipes.experiments.table1 data=jsb num_particles=4
  python -m recipes.experiments.table1 data=jsb seeds=0,1,2 bounds=fivo
  python -m recipes.experiments.table1 train=false""",
    TableSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
