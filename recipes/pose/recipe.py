"""Human poses: the joints of a moving person."""

import pathlib
from typing import Any, ClassVar

from recipes.pose.config import FitSettings, SampleSettings
from recipes.pose.poses import Poses
from recipes.recipe import DataSet, Recipe
from recipes.settings.common import SampleSettings as AnySampleSettings

_USUAL = FitSettings(
    batch_size=8,
    latent_dim=16,
    units=64,
    learning_rate=2e-3,
    schedule="cosine",
    clipnorm=10.0,
    updates=6_000,
)


class Pose(Recipe[Poses]):
    """Sequences of 32 joints."""

    name = "pose"
    data_sets = (
        DataSet(
            _USUAL.changed(data="figures", num_buckets=1),
            "synthetic figures that walk, jump and wave; no download",
            "simulated by this project, Apache 2.0.",
        ),
        DataSet(
            _USUAL.changed(data="pose"),
            "human poses of your own: 32 joints in a .pkl or .npz",
        ),
    )
    intended_use = (
        "A quick example of a model of motion: continuing a figure, filtering "
        "one whose joints are partly missing, starting a training on other "
        "poses of 32 joints. Input: `(batch, steps, 64)` in metres, all x "
        "before all y."
    )
    limits = (
        "The figures are simulated, and no human moves so. After a second or "
        "two continuations slow down and shrink."
    )
    sample_settings: ClassVar[AnySampleSettings] = SampleSettings(
        num_prefixes=5, prefix_length=16, sample_length=32, num_samples=1
    )
    sample_help = """\
Continues the beginnings of sequences of a split: the model reads each prefix
with a particle filter and goes on from particles of its posterior. Writes
samples.npz (prefixes and samples), figures.png and figures.gif.

  python -m recipes sample runs/figures-vrnn-fivo
  python -m recipes sample runs/figures-vrnn-fivo prefix_length=0"""
    choices: ClassVar[dict[str, Any]] = {
        **Recipe.choices,
        "emission": ("normal", "student_t", "laplace", "normal_mixture"),
        "latent_dim": (8, 16, 32),
    }
    ranges: ClassVar[dict[str, Any]] = {"learning_rate": (3e-4, 5e-3)}

    def load(self, settings: Any, show_progress: bool = True) -> Poses:
        from recipes.pose.data import load

        return load(settings.data, settings.data_path)

    def evaluation_batches(
        self, sequences: Any, num_particles: int, latent_dim: int
    ) -> Any:
        from recipes.data.batches import evaluation_batches

        lengths = list(map(len, sequences))
        # Each length is compiled for: those of figures are too much alike.
        num_buckets = 1 if max(lengths) < 2 * min(lengths) else 3
        return evaluation_batches(
            sequences, num_particles, latent_dim, num_buckets
        )

    def emission(self, settings: Any, data: Poses) -> Any:
        import keras_fivo as kf

        heads = {
            "normal": kf.NormalHead,
            "student_t": kf.StudentTHead,
            "laplace": kf.LaplaceHead,
            "normal_mixture": kf.NormalMixtureHead,
        }
        return heads[settings.emission](min_scale=settings.min_scale)

    def build_model(self, settings: Any, data: Poses, train: Any) -> Any:
        model = super().build_model(settings, data, train)
        # A mean that the file gives takes the place of that of the train split.
        model.cell.adapt(data.train_mean)
        return model

    def baseline(self, data: Poses, split: str) -> tuple[str, float]:
        from recipes.pose.data import independent_baseline

        return "independent Normals", independent_baseline(data, split)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.pose.sampling import sample

        return sample(trained, settings)
