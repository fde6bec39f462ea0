"""The settings of the Gaussian chain that are its own."""

import dataclasses

from recipes.settings import common
from recipes.settings.options import names, setting

SOURCES = {
    "chain": "a simulated Gaussian chain, whose log evidence is known exactly"
}
NAMES = tuple(SOURCES)
PROPOSALS = (
    "transition",
    "linear_filtering",
    "filtering",
    "exact_filtering",
    "linear_smoothing",
    "smoothing",
    "exact_smoothing",
)
SAMPLES = """\
Draws sequences of a split: what filtering, smoothing, forecasting and sampling
by particles find, beside the exact answers (posterior-N.png). Written too is
samples.npz, with the prefixes and what was sampled after them.

  python -m recipes sample runs/chain-ghmm-fivo
  python -m recipes sample runs/chain-ghmm-fivo num_particles=16"""
_TRANSITIONS = ("standard", "round")
_OBSERVATIONS = ("standard", "abs", "squared")


@dataclasses.dataclass(frozen=True)
class FitSettings(common.FitSettings):
    """What `fit` takes."""

    data: str = common.data_setting("chain", NAMES)
    data_path: str | None = common.data_path_setting(
        "Must not be set: the data are simulated.", identity=False
    )
    num_steps: int = setting(
        20, "Observations of a sequence.", common.DATA, low=1
    )
    num_sequences: int = setting(
        4096,
        "Sequences of the train split; valid and test have a quarter each.",
        common.DATA,
        low=1,
    )
    steps_per_observation: int = setting(
        1, "Steps of the latent for each observation.", common.DATA, low=1
    )
    transition_type: str = setting(
        "standard",
        "Where the next latent is centred: at this one, or at this one rounded "
        "to an integer.",
        common.DATA,
        choices=_TRANSITIONS,
    )
    observation_type: str = setting(
        "standard",
        "Where an observation is centred: at the latent, at its absolute "
        "value, or at its square.",
        common.DATA,
        choices=_OBSERVATIONS,
    )
    transition_variance: float = setting(
        0.1, "Of one step of the latent.", common.DATA, above=0
    )
    observation_variance: float = setting(
        0.1, "Of an observation.", common.DATA, above=0
    )
    extra_latent: bool = setting(
        False,
        "Whether there is a random latent before the first step, as in the "
        "data of the original, and not 0.",
        common.DATA,
    )
    data_seed: int = setting(0, "Of the simulation.", common.DATA, low=0)
    batch_size: int = setting(32, "Sequences of a batch.", common.DATA, low=1)
    num_buckets: int = setting(
        1, "Must be 1: all lengths are one.", common.DATA, low=1, high=1
    )

    model: str = setting(
        "ghmm",
        "Cell of the model: a linear Gaussian chain.",
        common.MODEL,
        choices=("ghmm",),
    )
    latent_dim: int = setting(1, "Must be 1.", common.MODEL, low=1, high=1)
    units: int | None = setting(
        None,
        "Size of the backward LSTM of the proposal `smoothing`; not set: 32.",
        common.MODEL,
        type=int,
        low=1,
    )
    proposal: str = setting(
        "linear_filtering",
        "Where latents are drawn from. linear_...: linear, with parameters of "
        "each step's own. filtering, smoothing: networks. exact_...: of the "
        "chain.",
        common.MODEL,
        choices=PROPOSALS,
    )
    dropout: float = setting(
        0.0, "Must be 0: the chain has none.", common.MODEL, low=0, high=0
    )
    learn_model: bool = setting(
        False,
        "Whether the chain is learned too, from weights and variances of 1, "
        "and not given.",
        common.MODEL,
    )

    learning_rate: float = common.changed("learning_rate", 1e-2)
    schedule: str = common.changed("schedule", "cosine")
    updates: int = common.changed("updates", 4_000)


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(common.EvaluateSettings):
    """What `evaluate` takes."""

    data: str | None = common.data_setting(None, NAMES)


@dataclasses.dataclass(frozen=True)
class SampleSettings(common.SampleSettings):
    """What `sample` takes."""

    data: str | None = common.data_setting(None, NAMES)
    num_prefixes: int = setting(
        2, "Sequences to draw, if there are as many.", "Samples", low=1
    )
    prefix_length: int = setting(
        12, "Steps that are given to the forecast.", "Samples", low=1
    )
    sample_length: int = setting(8, "Steps to forecast.", "Samples", low=1)
    num_particles: int = setting(32, "Particles.", "Samples", low=1)
    num_samples: int = setting(
        200, "Continuations of each prefix.", "Samples", low=2
    )
    lag: int = setting(
        3, "Later steps that fixed-lag smoothing looks at.", "Samples", low=0
    )


@dataclasses.dataclass(frozen=True)
class TuneSettings(common.SearchSettings, FitSettings):
    """What `tune` takes: what `fit` takes, for each trial, and more."""

    search: tuple = setting(
        ("learning_rate", "proposal", "bound", "num_particles"),
        "Settings that are searched; the others stay as given.",
        common.SEARCH,
        type=names,
        metavar="NAME,...",
    )
