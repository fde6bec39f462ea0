"""The settings of the pose recipe that are its own."""

import dataclasses

from recipes import common_settings as common
from recipes.settings import boolean, setting

SOURCES = {
    "figures": "synthetic figures that walk, jump and wave; no download",
    "pose": "human poses of your own: 32 joints in a .pkl or .npz",
}
NAMES = tuple(SOURCES)
EMISSIONS = ("normal", "student_t", "laplace", "normal_mixture")
SAMPLES = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Written
are samples.npz (prefixes and samples), figures.png and figures.gif.

  python -m recipes sample runs/figures-vrnn-fivo
  python -m recipes sample runs/figures-vrnn-fivo prefix_length=0"""
_PATH = "File to read the data set from: .pkl or .npz."


@dataclasses.dataclass(frozen=True)
class FitSettings(common.FitSettings):
    """What `fit` takes."""

    data: str = common.data_setting("figures", NAMES)
    data_path: str | None = common.data_path_setting(_PATH, identity=False)
    batch_size: int = setting(8, "Sequences of a batch.", common.DATA, low=1)
    num_buckets: int = setting(
        4,
        "Lengths that sequences are padded to, at most.",
        common.DATA,
        low=1,
        by_data={"figures": 1},
    )
    latent_dim: int = setting(16, "Size of the latent.", common.MODEL, low=1)
    units: int | None = setting(
        64,
        "Size of the LSTM; not set: latent_dim.",
        common.MODEL,
        type=int,
        low=1,
    )
    emission: str = setting(
        "normal",
        "p(coordinates | latent, past); each coordinate by itself.",
        common.MODEL,
        choices=EMISSIONS,
    )
    min_scale: float = setting(
        3e-3,
        "Smallest scale of the emission, in the units of the data.",
        common.MODEL,
        above=0,
    )
    learning_rate: float = setting(
        2e-3,
        "Of Adam; the first one, where it falls.",
        common.TRAINING,
        above=0,
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate goes; cosine: to 0 at the last of `updates`.",
        common.TRAINING,
        choices=("constant", "cosine"),
    )
    clipnorm: float | None = setting(
        10.0,
        "Largest norm of each gradient.",
        common.TRAINING,
        type=float,
        above=0,
    )
    updates: int = setting(6_000, "Updates at most.", common.CHOICE, low=1)


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(common.EvaluateSettings):
    """What `evaluate` takes."""

    data: str | None = common.data_setting(None, NAMES)
    data_path: str | None = common.data_path_setting(_PATH)


@dataclasses.dataclass(frozen=True)
class SampleSettings(common.SampleSettings):
    """What `sample` takes."""

    data: str | None = common.data_setting(None, NAMES)
    data_path: str | None = common.data_path_setting(_PATH)
    num_prefixes: int = setting(
        5, "Sequences to continue, if there are as many.", "Samples", low=1
    )
    prefix_length: int = setting(
        16, "Steps that are given; 0: none.", "Samples", low=0
    )
    sample_length: int = setting(32, "Steps to sample.", "Samples", low=1)
    num_samples: int = setting(
        1, "Continuations of each prefix.", "Samples", low=1
    )
    frames_per_second: float = setting(
        12.5, "Of the animation.", "Samples", above=0, high=100
    )
    y_down: bool = setting(
        False,
        "Whether y grows downward in the data, as that of pixels does.",
        "Samples",
        type=boolean,
    )


@dataclasses.dataclass(frozen=True)
class TuneSettings(common.SearchSettings, FitSettings):
    """What `tune` takes: what `fit` takes, for each trial, and more."""
