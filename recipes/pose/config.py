"""The settings of the pose recipe that are its own."""

import dataclasses

from recipes.settings import common
from recipes.settings.options import boolean, setting

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
    batch_size: int = common.changed("batch_size", 8)
    num_buckets: int = common.changed("num_buckets", 4, by_data={"figures": 1})
    latent_dim: int = common.changed("latent_dim", 16)
    units: int | None = common.changed("units", 64)
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
    learning_rate: float = common.changed("learning_rate", 2e-3)
    schedule: str = common.changed("schedule", "cosine")
    clipnorm: float | None = common.changed("clipnorm", 10.0)
    updates: int = common.changed("updates", 6_000)


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
