"""The settings of the Gaussian chain that are its own."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from recipes.ghmm.data import Process
from recipes.settings import common
from recipes.settings.base import Natural, Positive

Proposal = Literal[
    "transition",
    "linear_filtering",
    "filtering",
    "exact_filtering",
    "linear_smoothing",
    "smoothing",
    "exact_smoothing",
]
PROPOSALS: tuple[Proposal, ...] = get_args(Proposal)
LEARNED = ("linear_filtering", "filtering", "linear_smoothing", "smoothing")
_One = Annotated[int, Field(ge=1, le=1)]


class FitSettings(Process, common.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Chain"
    num_steps: Positive = 20
    """Number of observations of a sequence."""
    num_sequences: Positive = 4096
    """Number of sequences of the train split; valid and test have a quarter of
    it each."""
    data_seed: Natural = 0
    """Seed of the simulation."""
    learn_model: bool = False
    """Whether the chain is learned too, from weights and variances of 1, and
    not given."""

    batch_size: Positive = 32
    """Number of sequences in a batch."""
    num_buckets: _One = 1
    """Must be 1: all sequences have one length."""
    model: Literal["ghmm"] = "ghmm"  # type: ignore[assignment]
    """Cell of the model: a linear Gaussian chain."""
    latent_dim: _One = 1
    """Must be 1: the latent of the chain is a number."""
    units: Positive | None = None
    """Size of the backward LSTM of the proposal `smoothing`. If it is not set,
    32."""
    proposal: Proposal = "linear_filtering"  # type: ignore[assignment]
    """Distribution that latents are drawn from. `linear_...` is linear, with
    parameters of each step's own; `filtering` and `smoothing` are networks;
    `exact_...` is that of the chain."""
    dropout: Annotated[float, Field(ge=0, le=0)] = 0.0
    """Must be 0: the chain has no dropout."""


class SampleSettings(common.SampleSettings):
    """What `sample` can be told."""

    prefix_length: Positive = 12
    """Number of steps that are given to the forecast."""
    num_samples: Annotated[int, Field(ge=2)] = 200
    """Number of continuations of each prefix."""
    lag: Natural = 3
    """Number of later steps that fixed-lag smoothing looks at."""
