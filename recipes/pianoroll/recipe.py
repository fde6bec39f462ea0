"""Piano rolls: polyphonic music of 88 notes."""

import pathlib
from typing import Any, ClassVar

from recipes.pianoroll.config import FitSettings, SampleSettings
from recipes.pianoroll.rolls import PianoRolls
from recipes.recipe import DataSet, Recipe
from recipes.settings.common import SampleSettings as AnySampleSettings


class PianoRoll(Recipe[PianoRolls]):
    """Piano rolls, with the sizes of Maddison et al. (2017)."""

    name = "pianoroll"
    data_sets = (
        DataSet(
            FitSettings(data="bach"),
            "Bach's chorales, parsed from the package music21; no download",
        ),
        DataSet(FitSettings(data="jsb"), "Bach's chorales, canonical split"),
        DataSet(FitSettings(data="nottingham", latent_dim=64), "folk tunes"),
        DataSet(
            FitSettings(data="musedata", latent_dim=256),
            "orchestral and piano music, long",
        ),
        DataSet(
            FitSettings(data="piano_midi", latent_dim=64),
            "classical piano music, longest",
        ),
    )
    sample_settings: ClassVar[AnySampleSettings] = SampleSettings()
    sample_help = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Writes
samples.npz (prefixes and samples), a MIDI file of each continuation with its
prefix, and rolls.png.

  python -m recipes sample runs/jsb-fivo
  python -m recipes sample runs/jsb-fivo prefix_length=16 sample_length=64"""
    choices: ClassVar[dict[str, Any]] = {
        **Recipe.choices,
        "emission": ("bernoulli", "autoregressive_bernoulli"),
        "dropout": (0.0, 0.1, 0.2, 0.3),
    }

    def load(self, settings: Any, show_progress: bool = True) -> PianoRolls:
        from recipes.pianoroll.data import load

        return load(
            settings.data, settings.data_path, show_progress=show_progress
        )

    def baseline(self, data: PianoRolls, split: str) -> tuple[str, float]:
        from recipes.pianoroll.data import independent_notes_baseline

        return "independent notes", independent_notes_baseline(data, split)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.pianoroll.sampling import sample

        return sample(trained, settings)
