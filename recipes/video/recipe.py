"""Video: frames of digits, and of people."""

import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from recipes.recipe import DataSet, Recipe
from recipes.settings.common import PrepareSettings
from recipes.settings.common import SampleSettings as AnySampleSettings
from recipes.video.clips import VideoData
from recipes.video.config import (
    FitSettings,
    PrepareVideoSettings,
    SampleSettings,
)

_USUAL = FitSettings(
    batch_size=16,
    latent_dim=32,
    units=128,
    update_units=(256,),
    bound="elbo",
    num_particles=1,
    evaluation_particles=1,
    learning_rate=1e-3,
    schedule="cosine",
    clipnorm=10.0,
    updates=20_000,
    validate_every=500,
)


class Video(Recipe[VideoData]):
    """Frames of moving pictures."""

    name = "video"
    data_sets = (
        DataSet(
            _USUAL.changed(data="moving_digits"),
            "two digits that bounce off the edges; made on the spot",
            "that of the digits: MNIST (LeCun, Cortes and Burges, CC BY-SA "
            "3.0), or those of scikit-learn (Alpaydin and Kaynak, CC BY 4.0).",
        ),
        DataSet(
            _USUAL.changed(
                data="kth",
                latent_dim=64,
                units=256,
                blocks=(64, 128, 256, 512),
                encoding_dim=128,
                emission="quantized_normal",
                skip_connections=True,
                learning_rate=2e-4,
            ),
            "people who walk, run and box; `prepare video` reads AVI files",
            "that of KTH Actions (Schuldt, Laptev and Caputo, 2004): not for "
            "commerce.",
        ),
    )
    sample_settings: ClassVar[AnySampleSettings] = SampleSettings(
        num_prefixes=4,
        prefix_length=10,
        sample_length=10,
        num_samples=2,
        num_particles=16,
    )
    sample_help = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Writes
samples.npz (prefixes and samples), frames.png, a strip of frames for what was
recorded and for each sample, and frames.gif, the same moving.

  python -m recipes sample runs/moving_digits-svg-elbo
  python -m recipes sample runs/moving_digits-svg-elbo prefix_length=0"""
    prepare_help = """\
Turns the AVI files of KTH Actions into one file of grey frames, split by
person as their authors do (8 to train, 8 to validate, 9 to test).

  python -m recipes prepare video source=kth
  python -m recipes fit kth"""
    choices: ClassVar[dict[str, Any]] = {
        **Recipe.choices,
        "proposal": ("filtering", "iterative"),
        "latent_dim": (16, 32, 64),
        "units": (64, 128, 256),
    }
    searched = ("learning_rate", "latent_dim", "units", "proposal")

    def load(self, settings: Any, show_progress: bool = True) -> VideoData:
        from recipes.video.data import load

        return load(settings)

    def prepare_settings(self, given: Mapping[str, str]) -> PrepareSettings:
        return PrepareVideoSettings(recipe=self.name)

    def prepare(self, settings: Any) -> pathlib.Path:
        from recipes.video.kth import prepare

        return prepare(settings)

    def train_batches(self, data: VideoData, settings: Any) -> Any:
        from recipes.data.sequence_dataset import SequenceDataset

        return SequenceDataset(
            data.split("train").cut(settings.num_frames),
            batch_size=settings.batch_size,
            seed=settings.seed,
            num_buckets=1,
            length_multiple=1,
        )

    def evaluation_batches(
        self, sequences: Any, num_particles: int, latent_dim: int
    ) -> Any:
        from recipes.data.sequence_dataset import SequenceDataset

        # What a decoder holds of a row, rather than its latent, takes memory.
        return SequenceDataset(
            sequences,
            batch_size=max(1, min(16, 128 // num_particles, len(sequences))),
            shuffle=False,
            num_buckets=3,
            length_multiple=5,
        )

    def emission(self, settings: Any, data: VideoData) -> Any:
        from recipes.video.models import emission

        return emission(settings)

    def build_model(self, settings: Any, data: VideoData, train: Any) -> Any:
        from recipes.video.models import build_model

        return build_model(settings, train, self.emission(settings, data))

    def baseline(self, data: VideoData, split: str) -> tuple[str, float]:
        from recipes.video.baselines import last_frame_repeated

        return "last frame repeated", last_frame_repeated(data, split)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.video.sampling import sample

        return sample(trained, settings)
