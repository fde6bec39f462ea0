"""Table 1 of Maddison et al. (2017): `python -m recipes.experiments.table1`."""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from recipes.errors import told_to_the_user
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
from recipes.storage import atomic_path
from recipes.training.run_folder import RunFolder

Data = Literal["nottingham", "jsb", "musedata", "piano_midi"]
DATA: tuple[Data, ...] = ("nottingham", "jsb", "musedata", "piano_midi")
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
    text = table(settings)
    path = pathlib.Path(settings.output).expanduser() / "table1.md"
    with told_to_the_user(), atomic_path(path) as partial:
        partial.write_text(text, "utf-8")
    print(text)


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
    lines = [
        "| data | N | bound | ours | published | test: ELBO, IWAE, FIVO | KL "
        "| validation | best after | of | seed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    missing = []
    for data, bound, num_particles in _cells(settings):
        best = best_run(settings, data, bound, num_particles)
        content = best and best.read_evaluation("test")
        if content is None:
            missing.append(f"{data} {bound.upper()} {num_particles}")
            continue
        lines.append(
            _row(best.read_record(), content, data, bound, num_particles)
        )
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _row(
    record: Any, content: Any, data: str, bound: str, num_particles: int
) -> str:
    bounds = content["bounds"]
    reported = reported_bound(record, content)
    ours = bounds[reported]["bound_per_step"]
    published = PUBLISHED.get((bound, num_particles))
    theirs = f"{published[DATA.index(data)]:.2f}" if published else ""
    three = ", ".join(f"{bounds[b]['bound_per_step']:.3f}" for b in BOUNDS)
    return (
        f"| {data} | {num_particles} | {bound.upper()} | **{ours:.3f}** | "
        f"{theirs} | {three} | {bounds[reported]['kl_per_step']:.3f} | "
        f"{record['best']:.3f} | {record['best_updates']:,} | "
        f"{record['updates']:,} | {record['settings']['seed']} |"
    )


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
    path = settings.data_folder and f"{settings.data_folder}/{data}.npz"
    return recipe.fit_settings(
        data,
        **{
            name: getattr(settings, name)
            for name in TrainingSettings.model_fields
        },
        data_path=path,
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
