"""The settings of the learned-rule recipe."""

from typing import Annotated, ClassVar, Literal

import pydantic

from recipes.settings.base import (
    FilePath,
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)

Units = Annotated[str, pydantic.Field(pattern=r"^[1-9]\d*(-[1-9]\d*)*$")]
HeldOut = Literal["digits", "MNIST", "letters"]


class FitSettings(Settings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Meta-training"
    incidental: ClassVar[frozenset[str]] = frozenset(
        {"run", "minutes", "updates"}
    )
    data: str = "learned_rule"
    """Name of the data set: letters of the fonts that are installed."""
    seed: Natural = 0
    """Seed of the rule, of base models and of their tasks."""
    units: tuple[Units, ...] = ("96", "64-64")
    """Base models that learn side by side: the sizes of the layers of each,
    with - between them."""
    unrolls: tuple[Positive, ...] = (6,)
    """Numbers of updates of a base model in an unroll, of which one is drawn
    for each."""
    horizons: tuple[Positive, Positive] = (1, 3)
    """Fewest and most unrolls of the life of a base model, of which a number
    is drawn."""
    estimator: Literal["backpropagation", "evolution"] = "backpropagation"
    """Estimator of the gradient: through the unroll, or by persistent
    evolution strategies."""
    penalty: PositiveFloat = 10.0
    """Penalty of the ridge regression in the meta-objective."""
    learning_rate: PositiveFloat = 2e-3
    """Learning rate of Adam."""
    first: FilePath | None = None
    """File meta.keras of another meta-training, whose rule this one begins
    with. If it is not set, with a new one."""
    merge: FilePath | None = None
    """File merge.json that `tune` wrote, of weights that merge the terms of a
    change. If it is not set, those that were found before."""
    minutes: PositiveFloat = 60.0
    """Largest number of minutes of processor time, of all calls together."""
    updates: Positive | None = None
    """Largest number of updates of the rule, of all calls together. If it is
    not set, as many as there is time for."""
    run: FolderPath | None = None
    """Folder of the run. If it is not set, runs/learned_rule-SEED."""

    @pydantic.field_validator("horizons")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("`horizons` are the fewest, then the most.")
        return value

    @property
    def shapes(self) -> list[tuple[int, tuple[int, ...], int]]:
        """Inputs, units and number of the base models of each shape."""
        layers = [tuple(map(int, text.split("-"))) for text in self.units]
        return [(64, sizes, 1) for sizes in layers]

    @property
    def folder(self) -> str:
        """The folder of the run."""
        return self.run or f"runs/{self.data}-{self.seed}"


class TuneSettings(Settings):
    """What `tune` can be told."""

    heading: ClassVar[str] = "Search"
    data: str = "learned_rule"
    """Name of the data set: letters of the fonts that are installed."""
    trials: Positive = 110
    """Number of tries after the first."""
    seed: Natural = 0
    """Seed of the rule, of base models, of their batches and of the tries."""
    run: FolderPath | None = None
    """Folder of the letters and of merge.json. If it is not set,
    runs/learned_rule-tune."""

    @property
    def folder(self) -> str:
        """The folder of the search."""
        return self.run or f"runs/{self.data}-tune"


class EvaluateSettings(Settings):
    """What `evaluate` can be told."""

    heading: ClassVar[str] = "Evaluation"
    run: FolderPath = ""
    """Folder of a run, a .keras file or a preset."""
    held_out: tuple[HeldOut, ...] = ("digits", "MNIST")
    """Images that are scored; letters are those held out for choices."""
    mnist: FilePath | None = None
    """File of MNIST, an .npz with x_train, x_test and y_test."""
    letters: FilePath | None = None
    """File of letters for choices, rendered where there is none. If it is not
    set, glyphs.npz in the folder of the run, or in runs/rule."""
    units: tuple[Positive, ...] = (256,)
    """Sizes of the layers of base models."""
    updates: Positive = 5
    """Number of updates by the rule."""
    seeds: Positive = 1
    """Number of base models, whose accuracies are averaged."""
    trials: Positive = 200
    """Number of trials of each entry of the table."""
    output: FilePath | None = None
    """File that gets a line of JSON for each entry."""
