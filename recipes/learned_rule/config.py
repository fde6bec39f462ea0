"""The settings of the learned-rule recipe."""

import re
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


def _sizes(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)*", value):
        raise ValueError("`units` are sizes of layers, as 64, or 128-64.")
    return value


Units = Annotated[str, pydantic.AfterValidator(_sizes)]
HeldOut = Literal["digits", "MNIST", "letters"]


class RunSettings(Settings):
    """What every command that makes a run can be told.

    Attributes:
        folder_name: Name of the folder in runs, where none is given.
    """

    heading: ClassVar[str] = "Run"
    folder_name: ClassVar[str] = "{data}-{seed}"
    data: str = "learned_rule"
    """Name of the data set: letters of the fonts that are installed."""
    seed: Natural = 0
    """Seed of the rule, of base models and of their tasks."""
    run: FolderPath | None = None
    """Folder of the run. If it is not set, one in runs, named by the data."""

    @property
    def folder(self) -> str:
        """The folder of the run."""
        return self.run or f"runs/{self.folder_name.format(**dict(self))}"


class FitSettings(RunSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Meta-training"
    incidental: ClassVar[frozenset[str]] = frozenset(
        {"run", "minutes", "updates"}
    )
    units: tuple[Units, ...] = ("96", "64-64")
    """Shapes of base models: the sizes of the layers of each, with - between
    them."""
    num_tasks: Positive | None = None
    """Number of base models that learn side by side, each of which draws one
    of the shapes for each of its lives. If it is not set, one of each shape."""
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

    @pydantic.field_validator("horizons")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("`horizons` are the fewest, then the most.")
        return value

    @property
    def shapes(self) -> list[tuple[int, tuple, int]]:
        """Inputs, units (or several to draw) and number of base models."""
        layers = [tuple(map(int, text.split("-"))) for text in self.units]
        if self.num_tasks:
            return [(64, tuple(layers), self.num_tasks)]
        return [(64, sizes, 1) for sizes in layers]


class TuneSettings(RunSettings):
    """What `tune` can be told."""

    heading: ClassVar[str] = "Search"
    folder_name: ClassVar[str] = "{data}-tune"
    trials: Positive = 110
    """Number of tries after the first."""


class RuleSettings(Settings):
    """What every command that takes a rule can be told."""

    heading: ClassVar[str] = "Rule"
    run: FolderPath = "learned-rule-slim"
    """Folder of a run, a .keras file or a preset."""
    average: tuple[Positive, ...] = ()
    """Numbers of updates after which the run kept its rule, of whose weights
    the mean is taken. If it is not set, the last rule."""
    letters: FilePath | None = None
    """File of letters for choices, rendered where there is none. If it is not
    set, glyphs.npz in the folder of the run, or in runs/rule."""


class ScoreSettings(RuleSettings):
    """What every command that scores a rule can be told."""

    heading: ClassVar[str] = "Scores"
    mnist: FilePath | None = None
    """File of MNIST, an .npz with x_train, x_test and y_test."""
    seeds: Positive = 1
    """Number of base models, whose accuracies are averaged."""
    trials: Positive = 200
    """Number of trials of each entry of the table."""
    output: FilePath | None = None
    """File that gets a line of JSON for each row of the table; those that it
    holds, of the same rule, seeds and trials, are not measured again."""


class EvaluateSettings(ScoreSettings):
    """What `evaluate` can be told."""

    heading: ClassVar[str] = "Evaluation"
    held_out: tuple[HeldOut, ...] = ("digits", "MNIST")
    """Images that are scored; letters are those held out for choices."""
    units: tuple[Positive, ...] = (256,)
    """Sizes of the layers of base models."""
    updates: Positive = 5
    """Number of updates by the rule."""


class DrawSettings(RuleSettings):
    """What `draw` can be told."""

    heading: ClassVar[str] = "Picture"
    updates: Positive = 5
    """Number of updates before receptive fields are shown."""
    output: FilePath = "learned-rule.png"
    """PNG file to write."""


class SpeedSettings(Settings):
    """What `speed` can be told."""

    heading: ClassVar[str] = "Measurement"
    rule: Literal["published", "slim"] = "published"
    """Sizes of the rule."""
    units: tuple[Positive, ...] = (128, 128, 128, 128, 32)
    """Sizes of the layers of the base model."""
    inputs: Positive = 196
    """Number of its inputs."""
    batch_size: Positive = 128
    """Number of examples of an update."""
    length: Positive = 5
    """Number of updates of an unroll."""
    part: Literal["update", "unroll"] | None = None
    """Part to time in this process. If it is not set, both, each in its own."""
