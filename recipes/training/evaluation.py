"""All three bounds of a trained model, on one split."""

import time

import numpy as np

from recipes.data.sequence_dataset import SequenceDataset
from recipes.training.modelling import build_bound

BOUNDS = ("elbo", "iwae", "fivo")
# Of a batch of evaluation: particles x steps x latent_dim numbers.
_BUDGET = 2**24


def evaluation_batches(sequences, num_particles, latent_dim, num_buckets=3):
    """Batches in order, as large as memory and speed allow.

    Args:
        sequences: List of arrays `(steps, features)`, or an object with
            `lengths` and `features` that reads them when asked.
        num_particles: int.
        latent_dim: int.
        num_buckets: int. Default: 3.
    """
    fitting = _BUDGET // (lengths_of(sequences).max() * num_particles)
    return SequenceDataset(
        sequences,
        batch_size=max(1, min(16, fitting // latent_dim, len(sequences))),
        shuffle=False,
        num_buckets=num_buckets,
    )


def lengths_of(sequences):
    """The steps of each sequence, an int array; reads nothing it need not."""
    if hasattr(sequences, "lengths"):
        return np.asarray(sequences.lengths)
    return np.array([len(sequence) for sequence in sequences])


def evaluate_bounds(model, batches, num_particles, resampling, seed, say=print):
    """The ELBO, IWAE and FIVO bounds of a model.

    Args:
        model: `keras_fivo.LatentSequenceModel`.
        batches: `SequenceDataset` that is not shuffled.
        num_particles: int. Of each bound; the ELBO averages as many bounds
            of one particle.
        resampling: Has `scheme`, `criterion` and so on, for FIVO.
        seed: int. Of the noise.
        say: Called with what is being done. Default: `print`.

    Returns:
        A dict from bound to `bound_per_step` and `bound_per_sequence`, in
        nats, `ess`, `resampling_rate` and `seconds`.
    """
    model.compile()
    model.evaluation_seed = seed
    found = {}
    for name in BOUNDS:
        say(f"  {name.upper()} ...", end="", flush=True)
        start = time.monotonic()
        model.evaluation_bound = build_bound(name, num_particles, resampling)
        values = model.evaluate(batches, return_dict=True, verbose=0)
        found[name] = {
            key: float(values[key])
            for key in (
                "bound_per_step",
                "bound_per_sequence",
                "ess",
                "resampling_rate",
            )
        }
        found[name]["seconds"] = round(time.monotonic() - start, 2)
        say(f" {found[name]['seconds']:.0f} s")
    return found
