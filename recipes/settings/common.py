"""The settings that all recipes share, each declared once.

A recipe's own `config.py` subclasses them: it adds settings, and gives others
the defaults that suit its data. Nothing here imports Keras: asking for help is
quick.
"""

import dataclasses

from recipes.settings.options import Settings, boolean, integers, names, setting

SPLITS = ("train", "valid", "test")
CELLS = ("vrnn", "srnn")
BOUNDS = ("elbo", "iwae", "fivo")
SCHEMES = ("multinomial", "stratified", "systematic", "relaxed")
CRITERIA = ("effective_sample_size", "always", "never")
PROPOSALS = ("filtering", "smoothing", "transition")

DATA = "Data"
MODEL = "Model"
BOUND = "Bound"
TRAINING = "Training"
CHOICE = "Validation and stopping (what comes first)"
OUTPUT = "Output"
SEARCH = "Search"
SEARCHED = (
    "learning_rate",
    "latent_dim",
    "units",
    "proposal",
    "bound",
    "num_particles",
    "dropout",
)


def data_setting(default, choices=None):
    """The setting `data`, for the data sets of a recipe."""
    return setting(default, "Data set.", DATA, type=str, choices=choices)


def data_path_setting(help="File to read the data set from.", **kwargs):
    """The setting `data_path`."""
    return setting(None, help, DATA, type=str, metavar="FILE", **kwargs)


@dataclasses.dataclass(frozen=True)
class FitSettings(Settings):
    """What `fit` takes."""

    data: str = data_setting("")
    data_path: str | None = data_path_setting(identity=False)
    batch_size: int = setting(4, "Sequences of a batch.", DATA, low=1)
    num_buckets: int = setting(
        4, "Lengths that sequences are padded to, at most.", DATA, low=1
    )
    chunk_length: int | None = setting(
        None,
        "Cut longer training sequences into pieces of this length.",
        DATA,
        type=int,
        low=1,
    )

    model: str = setting("vrnn", "Cell of the model.", MODEL, choices=CELLS)
    latent_dim: int = setting(32, "Size of the latent.", MODEL, low=1)
    units: int | None = setting(
        None, "Size of the LSTM; not set: latent_dim.", MODEL, type=int, low=1
    )
    hidden_units: tuple | None = setting(
        None,
        "Hidden layers of all networks, as 32,32; not set: one of `units`.",
        MODEL,
        type=integers,
        metavar="N,N,...",
    )
    proposal: str = setting(
        "filtering", "Where latents are drawn from.", MODEL, choices=PROPOSALS
    )
    dropout: float = setting(
        0.0,
        "Rate at which encoded inputs and the LSTM's output are dropped.",
        MODEL,
        low=0,
        high=0.99,
    )

    bound: str = setting(
        "fivo", "Bound that training raises.", BOUND, choices=BOUNDS
    )
    num_particles: int = setting(4, "Particles in training.", BOUND, low=1)
    scheme: str = setting(
        "systematic", "How FIVO resamples.", BOUND, choices=SCHEMES
    )
    criterion: str = setting(
        "effective_sample_size",
        "When FIVO resamples.",
        BOUND,
        choices=CRITERIA,
    )
    ess_fraction: float = setting(
        0.5,
        "Effective sample size, as a share of the particles, at or below "
        "which FIVO resamples.",
        BOUND,
        above=0,
        high=1,
    )
    temperature: float = setting(0.5, "Of the relaxed scheme.", BOUND, above=0)

    learning_rate: float = setting(
        3e-4, "Of Adam; the first one, where it falls.", TRAINING, above=0
    )
    schedule: str = setting(
        "constant",
        "How the learning rate goes; cosine: to 0 at the last of `updates`.",
        TRAINING,
        choices=("constant", "cosine"),
    )
    loss_per: str = setting(
        "step",
        "Whether a sequence's loss is per step, or its whole bound.",
        TRAINING,
        choices=("step", "sequence"),
    )
    weight_decay: float = setting(
        0.0, "Share of the weights that decays, times rate.", TRAINING, low=0
    )
    clipnorm: float | None = setting(
        None, "Largest norm of each gradient.", TRAINING, type=float, above=0
    )
    seed: int = setting(
        0, "Of the weights, the noise and the order of data.", TRAINING, low=0
    )
    jit_compile: str = setting(
        "auto",
        "Whether the step is compiled; auto: as Keras does.",
        TRAINING,
        choices=("auto", "true", "false"),
    )

    updates: int = setting(30_000, "Updates at most.", CHOICE, low=1)
    minutes: float | None = setting(
        None,
        "Minutes of training at most, by the clock.",
        CHOICE,
        type=float,
        above=0,
    )
    cpu_minutes: float | None = setting(
        None,
        "Minutes of the processor at most, of all its cores.",
        CHOICE,
        type=float,
        above=0,
    )
    patience: int = setting(
        30, "Validations without a better bound, at most.", CHOICE, low=1
    )
    validate_every: int = setting(
        200,
        "Updates between validations, rounded up to whole epochs.",
        CHOICE,
        low=1,
    )
    evaluation_bound: str = setting(
        "same",
        "Bound by which the best model is chosen; same: that of training.",
        CHOICE,
        choices=("same", *BOUNDS),
    )
    evaluation_particles: int = setting(
        16, "Particles in validation.", CHOICE, low=1
    )

    run: str | None = setting(
        None,
        "Folder of the run; not set: runs/DATA-MODEL-BOUND.",
        OUTPUT,
        type=str,
        metavar="FOLDER",
        identity=False,
    )
    tensorboard: bool = setting(
        True,
        "Whether to log for TensorBoard too, where TensorFlow is.",
        OUTPUT,
        type=boolean,
        identity=False,
    )

    @property
    def folder(self):
        """The folder of the run."""
        return self.run or f"runs/{self.data}-{self.model}-{self.bound}"


def changed(name, default, **metadata):
    """A setting of `fit` with a default that suits a recipe better.

    Args:
        name: str. The setting.
        default: Its value.
        **metadata: What else differs, as of `recipes.settings.options.setting`.
    """
    (field,) = (f for f in dataclasses.fields(FitSettings) if f.name == name)
    return dataclasses.field(
        default=default, metadata={**field.metadata, **metadata}
    )


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(Settings):
    """What `evaluate` takes."""

    run: str = setting(
        "",
        "Folder of a run, or a .keras file.",
        "Model",
        metavar="FOLDER",
    )
    data: str | None = data_setting(None)
    data_path: str | None = data_path_setting()
    split: str = setting("test", "Split.", DATA, choices=SPLITS)
    num_particles: int = setting(128, "Particles.", "Evaluation", low=1)
    seed: int = setting(0, "Of the noise.", "Evaluation", low=0)
    output: str | None = setting(
        None,
        "JSON file to write; not set: evaluation-SPLIT.json in the run.",
        OUTPUT,
        type=str,
        metavar="FILE",
    )


@dataclasses.dataclass(frozen=True)
class SampleSettings(Settings):
    """What `sample` takes."""

    run: str = setting(
        "",
        "Folder of a run, or a .keras file.",
        "Model",
        metavar="FOLDER",
    )
    data: str | None = data_setting(None)
    data_path: str | None = data_path_setting()
    split: str = setting(
        "test", "Split that prefixes come from.", DATA, choices=SPLITS
    )
    num_prefixes: int = setting(
        4, "Sequences to continue, if there are as many.", "Samples", low=1
    )
    prefix_length: int = setting(
        24, "Steps that are given; 0: none.", "Samples", low=0
    )
    sample_length: int = setting(48, "Steps to sample.", "Samples", low=1)
    num_samples: int = setting(
        2, "Continuations of each prefix.", "Samples", low=1
    )
    num_particles: int = setting(
        128, "Particles that read the prefix.", "Samples", low=1
    )
    seed: int = setting(0, "Of the samples.", "Samples", low=0)
    output: str | None = setting(
        None,
        "Folder to write to; not set: samples in the run.",
        OUTPUT,
        type=str,
        metavar="FOLDER",
    )


@dataclasses.dataclass(frozen=True)
class SearchSettings(Settings):
    """What `tune` takes besides what `fit` takes, for each trial.

    A recipe combines both: `class TuneSettings(SearchSettings, FitSettings)`.
    """

    updates: int = setting(5_000, "Updates of a trial.", CHOICE, low=1)
    patience: int = setting(
        20, "Epochs of a trial without a better bound.", CHOICE, low=1
    )
    validate_every: int = setting(
        1, "Trials validate after each epoch.", CHOICE, low=1, high=1
    )
    evaluation_bound: str = setting(
        "fivo",
        "Bound that the search raises on the validation split, the same for "
        "all trials.",
        CHOICE,
        choices=BOUNDS,
    )
    run: str | None = setting(
        None,
        "Folder of the search; not set: runs/DATA-tune.",
        OUTPUT,
        type=str,
        metavar="FOLDER",
        identity=False,
    )
    algorithm: str = setting(
        "bayesian",
        "How points are chosen.",
        SEARCH,
        choices=("random", "bayesian", "hyperband"),
    )
    trials: int = setting(
        12, "Trials; hyperband counts its own.", SEARCH, low=1
    )
    search: tuple = setting(
        SEARCHED,
        "Settings that are searched; the others stay as given.",
        SEARCH,
        type=names,
        metavar="NAME,...",
    )

    @property
    def folder(self):
        """The folder of the search."""
        return self.run or f"runs/{self.data}-tune"
