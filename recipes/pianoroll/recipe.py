"""What the verbs call for piano rolls."""

from recipes.data.sequence_dataset import SequenceDataset
from recipes.pianoroll.data import independent_notes_baseline
from recipes.pianoroll.data import load as load_rolls
from recipes.pianoroll.sampling import sample as sample
from recipes.training.evaluation import evaluation_batches

__all__ = [
    "baseline",
    "emission",
    "evaluation_batches",
    "load",
    "sample",
    "train_batches",
]


def load(settings, show_progress=True):
    """`PianoRolls` of the data set that the settings name."""
    return load_rolls(
        settings.data, settings.data_path, show_progress=show_progress
    )


def train_batches(data, settings):
    """Shuffled batches of the train split."""
    return SequenceDataset(
        data.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        num_buckets=settings.num_buckets,
        chunk_length=settings.chunk_length,
    )


def emission(settings, data):
    """The head of p(notes | latent, past)."""
    return settings.emission


def baseline(data, split):
    """What a predictor without time reaches: its name, and nats per step."""
    return "independent notes", independent_notes_baseline(data, split)
