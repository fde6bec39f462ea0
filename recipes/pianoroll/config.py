"""The settings of the piano-roll recipe that are its own.

The sizes are those of Maddison et al. (2017); see README.md.
"""

import dataclasses

from recipes.settings import common
from recipes.settings.options import setting

SOURCES = {
    "bach": "Bach's chorales, parsed from the package music21; no download",
    "jsb": "Bach's chorales, the canonical split",
    "nottingham": "folk tunes",
    "musedata": "orchestral and piano music, long",
    "piano_midi": "classical piano music, longest",
}
NAMES = tuple(SOURCES)
EMISSIONS = ("bernoulli", "autoregressive_bernoulli")
SAMPLES = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Written
are samples.npz (prefixes and samples), a MIDI file of each continuation with
its prefix, and rolls.png.

  python -m recipes sample runs/jsb-fivo
  python -m recipes sample runs/jsb-fivo prefix_length=16 sample_length=64"""
_SIZES = {"nottingham": 64, "piano_midi": 64, "musedata": 256}
_PATH = "File to read the data set from: .npz, .mat or .pkl."


@dataclasses.dataclass(frozen=True)
class FitSettings(common.FitSettings):
    """What `fit` takes."""

    data: str = common.data_setting("bach", NAMES)
    data_path: str | None = common.data_path_setting(_PATH, identity=False)
    latent_dim: int = common.changed("latent_dim", 32, by_data=_SIZES)
    emission: str = setting(
        "bernoulli",
        "p(notes | latent, past): independent, or each given the lower ones.",
        common.MODEL,
        choices=EMISSIONS,
    )


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
    tempo: float = setting(
        90.0, "Quarter notes a minute, of the MIDI files.", "Samples", above=0
    )


@dataclasses.dataclass(frozen=True)
class TuneSettings(common.SearchSettings, FitSettings):
    """What `tune` takes: what `fit` takes, for each trial, and more."""
