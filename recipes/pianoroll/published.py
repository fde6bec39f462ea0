"""Scores as others compute them."""

import numpy as np
from keras import ops

_SAMPLES = 16  # of one particle each, as in the paper; their mean varies less


def mean_free_energy(trained, settings):
    """Returns the free energy by the protocol of Marino et al. (2018), in nats.

    Of each sequence of T steps the terms of all but the first are divided by
    T, as their code does; the mean is one over sequences, not over steps.
    Their model conditions on the first step; this one filters it, and leaves
    its term out.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.settings.common.EvaluateSettings`.
    """
    from recipes.training.modelling import build_bound

    model = trained.model
    bound = build_bound("elbo", _SAMPLES, trained.trained_with)
    batches = trained.recipe.evaluation_batches(
        trained.sequences.split(settings.split),
        _SAMPLES,
        model.cell.latent_dim,
    )
    found = []
    for index in range(len(batches)):
        batch = batches[index]
        noise = bound.draw(
            model.cell, batch["mask"].shape[1], len(batch["mask"]), index
        )
        result = model.filter(batch, bound, noise)
        log_weights = ops.convert_to_numpy(result.log_weights)
        lengths = ops.convert_to_numpy(result.lengths)
        # (batch, time, particles): sums of terms up to each step
        without_first = log_weights[:, -1] - log_weights[:, 0]
        energy = -without_first.mean(-1) / np.maximum(lengths, 1)
        found.extend(energy[lengths > 0].tolist())
    return float(np.mean(found))
