"""Batches of a data set of piano rolls, for each use."""

from recipes.sequence_dataset import SequenceDataset

# Of a batch of evaluation: particles x steps x latent_dim numbers.
_BUDGET = 2**24


def train_batches(rolls, settings):
    """Shuffled batches of the train split."""
    return SequenceDataset(
        rolls.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        num_buckets=settings.num_buckets,
        chunk_length=settings.chunk_length,
    )


def evaluation_batches(sequences, num_particles, latent_dim, num_buckets=3):
    """Batches in order, as large as memory and speed allow.

    Args:
        sequences: List of arrays `(steps, 88)`.
        num_particles: int.
        latent_dim: int.
        num_buckets: int. Default: 3.
    """
    longest = max(map(len, sequences))
    fitting = _BUDGET // (longest * num_particles * latent_dim)
    return SequenceDataset(
        sequences,
        batch_size=max(1, min(16, fitting, len(sequences))),
        shuffle=False,
        num_buckets=num_buckets,
    )
