"""Tables whose rows are trainings: each trained, tested and printed."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from recipes.experiments import tables
from recipes.registry import recipe_of
from recipes.settings.base import (
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import EvaluateSettings, FitSettings
from recipes.training.run_folder import RunFolder

HEADS = f"{tables.BOUNDS_HEAD} | {tables.RUN_HEADS}"


class RowSettings(Settings):
    """What every such table can be told."""

    heading: ClassVar[str] = "Trainings"
    updates: Positive = 10_000
    """Number of updates of a run."""
    cpu_minutes: PositiveFloat | None = None
    """Largest number of minutes of processor time of a run."""
    kl_updates: Natural = 500
    """Number of updates in which the weight of KL divergences grows to 1,
    where an ELBO is trained with; 0: none."""
    learning_rate: PositiveFloat | None = None
    """Initial learning rate of Adam, which falls to 0 as a cosine. If it is
    not set, that of the row."""
    validate_every: Positive = 250
    """Number of updates from one validation to the next."""
    num_particles: Positive = 128
    """Number of particles in testing."""
    rows: tuple[str, ...] = ()
    """Names of the rows."""
    seeds: tuple[Natural, ...] = (0,)
    """Seeds of the weights, the noise and the order of the data, a run
    each."""
    train: bool = True
    """Whether missing rows are trained, and not only finished ones shown."""
    output: FolderPath = "runs/rows"
    """Folder of the runs, a folder each, and of table.md."""

    def limits(self) -> dict[str, Any]:
        """Returns what `fit` is told of the course of each training."""
        return {
            "updates": self.updates,
            "cpu_minutes": self.cpu_minutes,
            "kl_updates": self.kl_updates or None,
            "schedule": "cosine",
            "patience": self.updates,
            "validate_every": self.validate_every,
            "tensorboard": False,
        }


@dataclasses.dataclass(frozen=True)
class Row:
    """A training, and what stands beside its results.

    Attributes:
        name: Name of its folder, and of the row where it was not run.
        cells: The first cells of the row.
        fit: What `fit` is told; its `run` is the folder.
    """

    name: str
    cells: tuple[str, ...]
    fit: FitSettings


def row_of(
    settings: RowSettings,
    parts: Sequence[str],
    cells: Sequence[str],
    seed: int,
    given: Mapping[str, Any],
) -> Row:
    """Returns a row of a table.

    Args:
        settings: Those of the table.
        parts: Name of the data set, and what tells the row from others, of
            which the names of the row and of its folder are made.
        cells: The first cells of the row.
        seed: Seed of the training.
        given: What `fit` is told beside what the settings of the table say.
    """
    # What is usual has no place in a name.
    parts = [*parts, *([f"seed-{seed}"] if seed else [])]
    usual = recipe_of(parts[0]).fit_settings(parts[0])
    rate = given.get("learning_rate", usual.learning_rate)
    own = {
        "learning_rate": settings.learning_rate or rate,
        "seed": seed,
        "run": str(pathlib.Path(settings.output) / "-".join(parts)),
    }
    fit = usual.changed(**settings.limits() | dict(given) | own)
    return Row(" ".join(parts), tuple(cells), fit)


def negative_elbo(content: Any) -> float:
    """Returns the free energy of what `evaluate` found, nats per step."""
    return -float(content["bounds"]["elbo"]["bound_per_step"])


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose rows are trainings.

    Attributes:
        heads: Heads of the first cells of a row, and of its free energy.
        make: Returns a row, by the settings and a value of each of the axes.
        energy: Gives the free energy of what `evaluate` found, in nats per
            step, if it is told of.
        axes: Names of the settings whose values make the rows.
    """

    heads: str
    make: Callable[..., Row]
    energy: Callable[[Any], float | None] = negative_elbo
    axes: tuple[str, ...] = ("rows", "seeds")

    def rows(self, settings: RowSettings) -> list[Row]:
        """Returns the rows; one that an axis is nothing to comes once."""
        values = itertools.product(*(getattr(settings, a) for a in self.axes))
        rows = [self.make(settings, *given) for given in values]
        return list({row.name: row for row in rows}.values())

    def run(self, settings: RowSettings) -> None:
        """Trains, tests and prints rows, one after the other.

        What is there is not done again: a run that was killed goes on, and the
        test split is scored once.
        """
        from recipes.training.evaluation import run_evaluate
        from recipes.training.fitting import run_fit

        rows = self.rows(settings)
        for row in rows if settings.train else ():
            run_fit(row.fit)
            if RunFolder(row.fit.folder).read_evaluation("test") is None:
                run_evaluate(
                    EvaluateSettings(
                        run=row.fit.folder, num_particles=settings.num_particles
                    )
                )
        found = {row.name: self._line(row) for row in rows}
        text = tables.markdown(f"{self.heads} | {HEADS}", found)
        tables.show(text, settings.output, "table.md")

    def _line(self, row: Row) -> list[str] | None:
        folder = RunFolder(row.fit.folder)
        content = folder.read_evaluation("test")
        if content is None:
            return None
        found = self.energy(content)
        return [
            *row.cells,
            "" if found is None else f"{found:.3f}",
            tables.bounds_cell(content),
            *tables.run_cells(folder.read_record()),
        ]
