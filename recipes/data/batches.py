"""Batches for evaluation."""

from typing import Any

import numpy as np

from recipes.data.sequence_dataset import SequenceDataset

# Of a batch: particles x steps x latent_dim numbers.
_BUDGET = 2**24


def evaluation_batches(
    sequences: Any, num_particles: int, latent_dim: int, num_buckets: int = 3
) -> SequenceDataset:
    """Returns batches in order, as large as memory and speed allow.

    Args:
        sequences: List of arrays `(steps, features)`, or an object with
            `lengths` and `features` that reads them when asked.
        num_particles: Number of particles that will read them.
        latent_dim: Size of a latent.
        num_buckets: Number of lengths to pad to. Default: 3.
    """
    fitting = _BUDGET // (lengths_of(sequences).max() * num_particles)
    return SequenceDataset(
        sequences,
        batch_size=max(1, min(16, fitting // latent_dim, len(sequences))),
        shuffle=False,
        num_buckets=num_buckets,
    )


def lengths_of(sequences: Any) -> np.ndarray:
    """Returns the steps of each sequence; reads nothing it need not."""
    if hasattr(sequences, "lengths"):
        return np.asarray(sequences.lengths)
    return np.array([len(sequence) for sequence in sequences])
