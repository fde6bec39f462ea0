"""Speech: waveforms, so many samples a step."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from recipes.recipe import DataSet, Recipe
from recipes.settings.common import SampleSettings
from recipes.speech.config import DENSITIES, FitSettings, prepare_settings

_USUAL = FitSettings(
    emission="autoregressive_normal",
    batch_size=16,
    latent_dim=64,
    units=256,
    clip_seconds=0.5,
    learning_rate=1e-3,
    schedule="cosine",
    clipnorm=1.0,
    updates=12_000,
    validate_every=300,
)


@dataclasses.dataclass
class SpeechData:
    """A data set of speech, as the verbs know it.

    Attributes:
        recordings: `recipes.speech.clips.Recordings`.
    """

    recordings: Any

    def split(self, name: str) -> Any:
        """Returns the whole recordings of a split, `Clips`."""
        return self.recordings.split(name)

    def digest(self) -> str:
        """Returns what tells one data set from another."""
        return self.recordings.digest()


class Speech(Recipe[SpeechData]):
    """Recordings, normalised and cut into steps."""

    name = "speech"
    data_sets = (
        DataSet(
            _USUAL.changed(data="digits", units=128, clip_seconds=None),
            "3,000 spoken digits, 8 kHz; fetched with git",
            "CC BY-SA 4.0, the Free Spoken Digit Dataset (Jakobovski et al.).",
        ),
        DataSet(
            _USUAL.changed(data="timit"),
            "6,300 read sentences, 16 kHz; licensed, from a path of yours",
            "that of the Linguistic Data Consortium.",
        ),
        DataSet(
            _USUAL.changed(data="ljspeech"),
            "one voice; `prepare speech corpus=ljspeech` downloads 2.7 GB",
            "public domain, LJSpeech (Ito and Johnson, 2017).",
        ),
        DataSet(
            _USUAL.changed(data="speech"),
            "any recordings: data_path=FILE that `prepare speech` made",
        ),
    )
    intended_use = (
        "Experiments with models of raw sound: comparing bounds, finding where "
        "a recording is unlike speech (`anomaly_scores`), starting a "
        "training on other recordings. Input: `(batch, steps, 200)`, 16-bit "
        "samples less the mean of train, by its deviation."
    )
    limits = (
        "It whispers: samples have the formants and pauses of speech, and no "
        "voice; most are no words. It knows six speakers and ten words, at 8 "
        "kHz. It must not be used to tell who speaks."
    )
    sample_settings = SampleSettings(
        num_prefixes=3, prefix_length=8, sample_length=24, num_samples=3
    )
    gallery_settings = sample_settings.changed(
        prefix_length=0, sample_length=18, num_samples=3
    )
    sample_help = """\
Makes sounds: samples from nothing, continuations of the beginnings of
recordings, and one-step predictions, each step from the recording before it.
Writes samples.npz, a 16-bit WAV file of each sound, and three pictures of
waveforms and spectrograms: samples.png, continuations.png, predictions.png.

  python -m recipes sample runs/digits-vrnn-fivo
  python -m recipes sample runs/digits-vrnn-fivo prefix_length=12 split=valid"""
    prepare_help = """\
Turns recordings into one HDF5 file. Its sequences have steps of
`samples_per_step` samples, normalised by the mean and the standard deviation of
the train split.

  python -m recipes prepare speech corpus=timit source=corpora
  python -m recipes prepare speech corpus=digits \\
      source=free-spoken-digit-dataset/recordings out=digits.h5
  python -m recipes prepare speech source=voices split_by=speaker \\
      sample_rate=16000"""
    choices: ClassVar[dict[str, Any]] = {
        **Recipe.choices,
        "model": ("vrnn", "srnn"),
        # Densities only: their bounds can be compared.
        "emission": DENSITIES,
        "latent_dim": (16, 32, 64, 128),
        "units": (64, 128, 256),
        "batch_size": (8, 16, 32),
    }
    ranges: ClassVar[dict[str, Any]] = {"learning_rate": (3e-4, 5e-3)}

    def load(self, settings: Any, show_progress: bool = True) -> SpeechData:
        from recipes.speech.loading import load_speech

        return SpeechData(
            load_speech(settings.data, settings.data_path, show_progress)
        )

    def prepare_settings(self, given: Mapping[str, str]) -> Any:
        return prepare_settings(given.get("corpus", "folder"))

    def prepare(self, settings: Any) -> pathlib.Path:
        from recipes.speech.data import prepare

        return prepare(settings)

    def train_batches(self, data: SpeechData, settings: Any) -> Any:
        from recipes.data.sequence_dataset import SequenceDataset
        from recipes.speech.clips import Clips

        clips = data.recordings.split("train", settings.clip_seconds)
        if settings.chunk_length is not None:
            clips = Clips(data.recordings, "train", settings.chunk_length)
        return SequenceDataset(
            clips,
            batch_size=settings.batch_size,
            seed=settings.seed,
            num_buckets=settings.num_buckets,
        )

    def emission(self, settings: Any, data: SpeechData) -> Any:
        from recipes.speech.emissions import emission

        return emission(settings, data.recordings.attributes)

    def baseline(self, data: SpeechData, split: str) -> tuple[str, float]:
        from recipes.speech.baselines import linear_prediction

        return "linear prediction", linear_prediction(data, split)

    def after_evaluation(
        self, trained: Any, settings: Any, content: dict[str, Any]
    ) -> dict[str, Any]:
        from recipes.speech.report import sixteen_bit_report

        return sixteen_bit_report(trained, settings, content)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.speech.sampling import sample

        return sample(trained, settings)
