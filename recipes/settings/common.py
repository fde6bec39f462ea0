"""The settings that all recipes share, each declared once.

A recipe adds its own in a subclass, and has one instance for each data set,
with the values that suit it. Nothing here imports Keras: asking for help is
quick.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recipes.settings.base import (
    FilePath,
    FolderPath,
    Fraction,
    Metavar,
    Natural,
    NaturalFloat,
    Positive,
    PositiveFloat,
    Settings,
)

Split = Literal["train", "valid", "test"]
Bound = Literal["elbo", "iwae", "fivo"]
Cell = Literal["vrnn", "srnn"]
Proposal = Literal["filtering", "smoothing", "transition"]
Scheme = Literal["multinomial", "stratified", "systematic", "relaxed"]
Criterion = Literal["effective_sample_size", "always", "never"]
BOUNDS: tuple[Bound, ...] = ("elbo", "iwae", "fivo")


class DataSettings(Settings):
    """Which data, in which batches."""

    heading: ClassVar[str] = "Data"
    data: str = ""
    """Name of the data set; `python -m recipes list` shows all."""
    data_path: FilePath | None = None
    """File or folder to read the data set from, in place of its own source."""
    batch_size: Positive = 4
    """Number of sequences in a batch."""
    num_buckets: Positive = 4
    """Largest number of different lengths that sequences are padded to."""
    chunk_length: Positive | None = None
    """Number of steps of the pieces that longer training sequences are cut
    into. If it is not set, they stay whole."""


class ModelSettings(Settings):
    """The cell and its networks."""

    heading: ClassVar[str] = "Model"
    preset: Annotated[str, Metavar("PRESET")] | None = None
    """Preset whose weights training begins with, and whose cell and emission
    are those of the model. If it is not set, weights begin at random."""
    model: Cell = "vrnn"
    """Cell of the model."""
    latent_dim: Positive = 32
    """Size of the latent variable of each step."""
    units: Positive | None = None
    """Size of the LSTM. If it is not set, that of the latent variable."""
    hidden_units: tuple[Positive, ...] | None = None
    """Sizes of the hidden layers of all networks, as in 32,32. If they are not
    set, there is one layer, of the size of the LSTM."""
    proposal: Proposal = "filtering"
    """Distribution that latents are drawn from: `filtering` sees the
    observations up to the step, `smoothing` all of them, `transition` none."""
    dropout: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    """Rate at which encoded inputs and outputs of the LSTM are dropped."""


class BoundSettings(Settings):
    """The bound, and how it resamples."""

    heading: ClassVar[str] = "Bound"
    bound: Bound = "fivo"
    """Lower bound of the log evidence that training maximizes."""
    num_particles: Positive = 4
    """Number of particles in training."""
    scheme: Scheme = "systematic"
    """Scheme by which FIVO resamples."""
    criterion: Criterion = "effective_sample_size"
    """Criterion by which FIVO decides when to resample."""
    ess_fraction: Fraction = 0.5
    """Effective sample size, as a fraction of the particles, at or below which
    FIVO resamples."""
    temperature: PositiveFloat = 0.5
    """Temperature of the relaxed resampling scheme."""
    analytic_kl: bool = False
    """Whether the ELBO takes the KL divergence of each step in closed form."""


class TrainingSettings(Settings):
    """The optimizer and the loss."""

    heading: ClassVar[str] = "Training"
    learning_rate: PositiveFloat = 3e-4
    """Initial learning rate of Adam."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the learning rate: `cosine` falls to 0 at the last of
    `updates`."""
    kl_updates: Positive | None = None
    """Number of updates in which the weight of KL divergences grows from 0
    to 1. If it is not set, it is 1 throughout."""
    kl_power: PositiveFloat = 2.0
    """Power of the share of these updates that is that weight."""
    loss_per: Literal["step", "sequence"] = "step"
    """Whether the loss of a sequence is its bound per step, or its whole
    bound."""
    weight_decay: NaturalFloat = 0.0
    """Fraction of the weights, times the learning rate, that decays in each
    update."""
    clipnorm: PositiveFloat | None = None
    """Largest norm that the gradient of a weight may have; larger ones are
    scaled down."""
    seed: Natural = 0
    """Seed of the weights, the noise and the order of the data."""
    jit_compile: Literal["auto", "true", "false"] = "auto"
    """Whether the training step is compiled; `auto` leaves it to Keras."""


class StoppingSettings(Settings):
    """When training stops, and which model is kept."""

    heading: ClassVar[str] = "Validation and stopping (what comes first)"
    updates: Positive = 30_000
    """Largest number of updates."""
    minutes: PositiveFloat | None = None
    """Largest number of minutes of training by the clock, validation included
    and compilation not."""
    cpu_minutes: PositiveFloat | None = None
    """Largest number of minutes of processor time, over all cores,
    compilation not included."""
    patience: Positive = 30
    """Number of validations without a better bound after which training
    stops."""
    validate_every: Positive = 200
    """Number of updates from one validation to the next, rounded up to whole
    epochs."""
    evaluation_bound: Literal["same", "elbo", "iwae", "fivo"] = "same"
    """Bound by which the best model is chosen; `same` is the one of
    training."""
    evaluation_particles: Positive = 16
    """Number of particles in validation."""


class OutputSettings(Settings):
    """Where results go."""

    heading: ClassVar[str] = "Output"
    run: FolderPath | None = None
    """Folder of the run. If it is not set, runs/DATA-MODEL-BOUND."""
    tensorboard: bool = True
    """Whether logs for TensorBoard are written too, where TensorFlow is
    installed."""


# The last base comes first in the help.
class FitSettings(
    OutputSettings,
    StoppingSettings,
    TrainingSettings,
    BoundSettings,
    ModelSettings,
    DataSettings,
):
    """What `fit` can be told."""

    incidental: ClassVar[frozenset[str]] = frozenset(
        {"data_path", "run", "tensorboard"}
    )

    @property
    def folder(self) -> str:
        """The folder of the run."""
        return self.run or f"runs/{self.data}-{self.model}-{self.bound}"


class PrepareSettings(Settings):
    """What `prepare` can be told."""

    heading: ClassVar[str] = "Recipe"
    recipe: str = ""
    """Name of the recipe that reads what is prepared."""


class SearchSettings(Settings):
    """What `tune` can be told, besides what `fit` can, for each trial.

    `recipes.recipe.Recipe.tune_settings` combines both.
    """

    heading: ClassVar[str] = "Search"
    updates: Positive = 5_000
    """Largest number of updates of a trial."""
    patience: Positive = 20
    """Number of epochs without a better bound after which a trial stops."""
    validate_every: Annotated[int, Field(ge=1, le=1)] = 1
    """Must be 1: trials validate after each epoch."""
    evaluation_bound: Bound = "fivo"
    """Bound on the validation split that the search maximizes, the same for
    all trials."""
    run: FolderPath | None = None
    """Folder of the search. If it is not set, runs/DATA-tune."""
    algorithm: Literal["random", "bayesian", "hyperband"] = "bayesian"
    """Algorithm that chooses the settings of the next trial."""
    trials: Positive = 12
    """Number of trials; `hyperband` has a number of its own."""
    search: tuple[str, ...] = ()
    """Names of the settings that are searched; the others stay as they are."""

    @property
    def folder(self) -> str:
        """The folder of the search."""
        return self.run or f"runs/{self.model_dump()['data']}-tune"


class TrainedSettings(Settings):
    """Which trained model, and which data."""

    heading: ClassVar[str] = "Model and data"
    run: FolderPath = ""
    """Folder of a run, a .keras file, or a preset: the name of a shipped one,
    its folder, or a handle such as hf://someone/model."""
    data: str | None = None
    """Name of the data set. If it is not set, the one of the training."""
    data_path: FilePath | None = None
    """File or folder to read the data set from. If it is not set, the one of
    the training."""
    split: Split = "test"
    """Split of the data set that sequences are taken from."""


class EvaluateSettings(TrainedSettings):
    """What `evaluate` can be told."""

    heading: ClassVar[str] = "Evaluation"
    num_particles: Positive = 128
    """Number of particles of each bound."""
    seed: Natural = 0
    """Seed of the noise."""
    output: FilePath | None = None
    """JSON file to write. If it is not set, evaluation-SPLIT.json in the
    folder of the run."""


class SampleSettings(TrainedSettings):
    """What `sample` can be told."""

    heading: ClassVar[str] = "Samples"
    num_prefixes: Positive = 4
    """Number of sequences to continue, if there are as many."""
    prefix_length: Natural = 24
    """Number of steps of a sequence that are given; 0 samples from nothing."""
    sample_length: Positive = 48
    """Number of steps to sample."""
    num_samples: Positive = 2
    """Number of continuations of each prefix."""
    num_particles: Positive = 128
    """Number of particles that read the prefix."""
    seed: Natural = 0
    """Seed of the samples."""
    output: FolderPath | None = None
    """Folder to write to. If it is not set, samples in the folder of the
    run."""
