"""All three bounds of a trained model, on one split."""

import time

from recipes.modelling import build_bound
from recipes.pianoroll.batches import evaluation_batches

BOUNDS = ("elbo", "iwae", "fivo")


def evaluate_bounds(
    model, sequences, num_particles, resampling, seed=0, say=print
):
    """The ELBO, IWAE and FIVO bounds of a model.

    Args:
        model: `keras_fivo.LatentSequenceModel`.
        sequences: List of arrays `(steps, features)`.
        num_particles: int. Of each bound; the ELBO averages as many bounds
            of one particle.
        resampling: Has `scheme`, `criterion` and so on, for FIVO.
        seed: int. Of the noise. Default: 0.
        say: Called with what is being done. Default: `print`.

    Returns:
        A dict from bound to `bound_per_step` and `bound_per_sequence`, in
        nats, `ess`, `resampling_rate` and `seconds`.
    """
    model.compile()
    model.evaluation_seed = seed
    batches = evaluation_batches(
        sequences, num_particles, model.cell.latent_dim
    )
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
