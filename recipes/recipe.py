"""What a recipe is: data sets of one kind, and what the verbs do with them."""

import dataclasses
import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import pydantic

from recipes.errors import RecipeError
from recipes.settings.common import (
    EvaluateSettings,
    FitSettings,
    PrepareSettings,
    SampleSettings,
    SearchSettings,
)

if typing.TYPE_CHECKING:
    import keras

    import keras_fivo as kf
    from recipes.data.sequence_dataset import SequenceDataset
    from recipes.training.trained import Trained

Data = TypeVar("Data")

_EVALUATE = """\
Prints the three bounds of the best model of a run, in nats per step (sum of
bounds / sum of lengths) and per sequence, beside a simple baseline.

  python -m recipes evaluate runs/jsb-fivo
  python -m recipes evaluate runs/jsb-fivo split=valid num_particles=16
  python -m recipes evaluate bach-vrnn"""
_TUNE = """\
Searches for settings whose validation bound is best. Judges all trials by one
bound with the same particles and noise, whatever they are trained with. Limits
of updates and minutes are those of each trial. A search that was killed goes on
when the same command is given again; the trial that was cut off is run anew.
Keeps the best model as best.keras.

  python -m recipes tune bach trials=12 minutes=3
  python -m recipes tune jsb data_path=jsb.npz search=learning_rate,dropout \\
      bound=fivo num_particles=4 algorithm=random"""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set that a recipe knows by name.

    Attributes:
        settings: What `fit` is told where nothing else is said; its `data` is
            the name.
        about: One line for the list of data sets.
        licence: Sentence on who made the data, and on what terms they are
            used, for model cards.
    """

    settings: FitSettings
    about: str
    licence: str = "that of your own data."


class Recipe(Generic[Data]):
    """Data sets of one kind, and what the verbs do with them.

    A subclass names its data sets, loads them, and says how to sample; what
    else there is has a default. It must not import Keras before a method is
    called: then help and lists are quick. `Data` is what `load` returns: it
    has `split(name)`, the sequences of a split, and `digest()`, a text that
    tells one content from another.

    Attributes:
        name: Name of the recipe, and of its folder.
        data_sets: The data sets; the first is the usual one.
        sample_settings: What `sample` is told where nothing else is said.
        gallery_settings: What `sample` is told for a gallery of presets; its
            first picture and the sounds are shown. `None`: the same.
        sample_help: What the help of `sample` says.
        prepare_help: What the help of `prepare` says.
        tune_help: What the help of `tune` says.
        choices: Values that a search may try, by setting.
        ranges: Ends of the logarithmic scale that a search may draw from, by
            setting.
        searched: Names of the settings that a search changes if it is told
            nothing else.
        intended_use: What models are good for, for model cards.
        limits: What they are not good for, for model cards.
        evaluate_settings: What `evaluate` is told where nothing else is said.
        evaluate_help: What the help of `evaluate` says.
        preset_class: Name of the class of its presets' models.
        has_bounds: Whether models are trained with bounds, and so can be
            sampled.
    """

    name: ClassVar[str]
    data_sets: ClassVar[tuple[DataSet, ...]]
    sample_settings: ClassVar[SampleSettings] = SampleSettings()
    gallery_settings: ClassVar[SampleSettings | None] = None
    sample_help: ClassVar[str] = "Continues the beginnings of sequences."
    evaluate_settings: ClassVar[Any] = EvaluateSettings()
    evaluate_help: ClassVar[str] = _EVALUATE
    preset_class: ClassVar[str] = "LatentSequenceModel"
    prepare_help: ClassVar[str] = ""
    tune_help: ClassVar[str] = _TUNE
    intended_use: ClassVar[str] = "Experiments with models of sequences."
    limits: ClassVar[str] = "It knows no data but those it was trained on."
    has_bounds: ClassVar[bool] = True
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {
        "bound": ("elbo", "iwae", "fivo"),
        "proposal": ("filtering", "smoothing"),
        "num_particles": (4, 8, 16),
        "latent_dim": (16, 32, 64),
        "units": (32, 64, 128),
        "dropout": (0.0, 0.1, 0.2),
        "weight_decay": (0.0, 1e-3, 1e-2),
        "batch_size": (4, 8, 16),
    }
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "learning_rate": (1e-4, 3e-3),
    }
    searched: ClassVar[tuple[str, ...]] = (
        "learning_rate",
        "latent_dim",
        "units",
        "proposal",
        "bound",
        "num_particles",
        "dropout",
    )

    def fit_settings(self, data: str = "", **given: Any) -> FitSettings:
        """Returns the settings of `fit` for a data set.

        Args:
            data: Name of the data set. Default: the usual one.
            **given: Settings that differ from those that suit it.
        """
        for known in self.data_sets:
            if known.settings.data == data or not data:
                return known.settings.changed(**given)
        names = ", ".join(known.settings.data for known in self.data_sets)
        raise RecipeError(
            f"The data sets of {self.name} are {names}. "
            f"Received: data={data!r}."
        )

    def tune_settings(self, data: str = "", **given: Any) -> Any:
        """Returns the settings of `tune`: those of `fit`, and of the search.

        Args:
            data: As for `fit_settings`.
            **given: As for `fit_settings`.
        """
        usual = self.fit_settings(data)
        about = SearchSettings.model_fields["search"].description
        known = Literal[(*self.choices, *self.ranges)]  # type: ignore[valid-type]
        cls = pydantic.create_model(
            "TuneSettings",
            __base__=(SearchSettings, type(usual)),
            search=(
                tuple[known, ...],
                pydantic.Field(self.searched, description=about),
            ),
        )
        kept = {k: v for k, v in usual if k not in SearchSettings.model_fields}
        return cls(**{**kept, **given})

    def load(self, settings: Any, show_progress: bool = True) -> Data:
        """Returns the data set that the settings name."""
        raise NotImplementedError

    def fit(self, settings: Any) -> None:
        """Trains a model, or goes on with one."""
        from recipes.training.fitting import run_fit

        run_fit(settings)

    def tune(self, settings: Any) -> None:
        """Searches for better settings."""
        from recipes.training.tune import run_tune

        run_tune(settings)

    def evaluate(self, settings: Any) -> None:
        """Scores a trained model."""
        from recipes.training.evaluation import run_evaluate

        run_evaluate(settings)

    def forecast_settings(self, data: str = "") -> Any:
        """Returns the settings of `forecast`, where the recipe can."""
        raise RecipeError(
            f"Tables are forecast, and {self.name} is none: see `sample`. "
            f"Received: data={data!r}."
        )

    def backtest_settings(self, data: str = "") -> Any:
        """Returns the settings of `backtest`, where the recipe can."""
        raise RecipeError(
            f"Tables are back-tested, and {self.name} is none: see "
            f"`evaluate`. Received: data={data!r}."
        )

    def forecast(self, settings: Any) -> None:
        """Forecasts what follows the data."""
        raise NotImplementedError

    def backtest(self, settings: Any) -> None:
        """Scores forecasts of the past."""
        raise NotImplementedError

    def sample(self, trained: "Trained", settings: Any) -> list[pathlib.Path]:
        """Samples from a trained model; returns the files that it wrote."""
        raise NotImplementedError

    def prepare_settings(
        self, given: Mapping[str, str]
    ) -> PrepareSettings | None:
        """Returns what `prepare` is told where nothing else is said.

        Args:
            given: Texts of the command line.

        Returns:
            `None` if there is nothing to prepare.
        """
        return None

    def prepare(self, settings: Any) -> pathlib.Path:
        """Makes a file that `load` reads; returns its path."""
        raise NotImplementedError

    def emission(self, settings: Any, data: Data) -> Any:
        """Returns the head of p(x_t given the latents and the past)."""
        return settings.emission

    def train_batches(self, data: Any, settings: Any) -> "SequenceDataset":
        """Returns shuffled batches of the train split."""
        from recipes.data.sequence_dataset import SequenceDataset

        return SequenceDataset(
            data.split("train"),
            batch_size=settings.batch_size,
            seed=settings.seed,
            num_buckets=settings.num_buckets,
            chunk_length=settings.chunk_length,
        )

    def evaluation_batches(
        self, sequences: Any, num_particles: int, latent_dim: int
    ) -> "SequenceDataset":
        """Returns batches in order, as large as memory and speed allow."""
        from recipes.data.batches import evaluation_batches

        return evaluation_batches(sequences, num_particles, latent_dim)

    def build_model(
        self, settings: Any, data: Data, train: "SequenceDataset"
    ) -> "kf.LatentSequenceModel":
        """Returns a compiled model that is adapted to the training data."""
        from recipes.training.modelling import build_model

        return build_model(settings, train, self.emission(settings, data))

    def callbacks(
        self, model: "kf.LatentSequenceModel", data: Data, settings: Any
    ) -> "list[keras.callbacks.Callback]":
        """Returns callbacks of `fit`, which come first and may add to logs."""
        return []

    def baseline(self, data: Data, split: str) -> tuple[str, float] | None:
        """Returns the name of a simple predictor and its nats per step."""
        return None

    def parts(self, data: Data, split: str) -> dict[str, list[int]]:
        """Returns parts of a split that `evaluate` tells of by themselves.

        Returns:
            A dict from what a part is to the positions of its sequences.
        """
        return {}

    def after_evaluation(
        self,
        trained: "Trained",
        settings: EvaluateSettings,
        content: dict[str, Any],
    ) -> dict[str, Any]:
        """Returns what `evaluate` writes, after telling more of it."""
        return content
