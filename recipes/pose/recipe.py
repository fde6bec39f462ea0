"""What the verbs call for poses."""

import keras_fivo as kf
from recipes.data.sequence_dataset import SequenceDataset
from recipes.pose.data import independent_baseline
from recipes.pose.data import load as load_poses
from recipes.pose.sampling import sample as sample
from recipes.training import evaluation, modelling

__all__ = [
    "baseline",
    "build_model",
    "emission",
    "evaluation_batches",
    "load",
    "sample",
    "train_batches",
]

_HEADS = {
    "normal": kf.NormalHead,
    "student_t": kf.StudentTHead,
    "laplace": kf.LaplaceHead,
    "normal_mixture": kf.NormalMixtureHead,
}


def load(settings, show_progress=True):
    """`Poses` of the data set that the settings name."""
    return load_poses(settings.data, settings.data_path)


def train_batches(data, settings):
    """Shuffled batches of the train split."""
    return SequenceDataset(
        data.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        num_buckets=settings.num_buckets,
        chunk_length=settings.chunk_length,
    )


def evaluation_batches(sequences, num_particles, latent_dim):
    """Batches in order; see `recipes.training.evaluation`."""
    lengths = list(map(len, sequences))
    # Each length is compiled for: those of figures are too much alike.
    num_buckets = 1 if max(lengths) < 2 * min(lengths) else 3
    return evaluation.evaluation_batches(
        sequences, num_particles, latent_dim, num_buckets
    )


def emission(settings, data):
    """The head of p(coordinates | latent, past)."""
    return _HEADS[settings.emission](min_scale=settings.min_scale)


def build_model(settings, data, train):
    """A compiled model that centres as the data set says.

    Args:
        settings: `recipes.pose.config.FitSettings`.
        data: `Poses`; a mean that its file gives takes the place of that of
            the train split.
        train: Batches of the train split.
    """
    model = modelling.build_model(settings, train, emission(settings, data))
    model.cell.adapt(data.train_mean)
    return model


def baseline(data, split):
    """What a predictor without time reaches: its name, and nats per step."""
    return "independent Normals", independent_baseline(data, split)
