"""Beginnings of sequences, and what a model makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recipes.errors import RecipeError
from recipes.settings.common import SampleSettings


def choose_sequences(
    sequences: Sequence[np.ndarray], settings: SampleSettings
) -> tuple[list[np.ndarray], list[str]]:
    """Chooses the sequences to continue.

    Args:
        sequences: Arrays `(steps, features)`, those of the split.
        settings: Their `prefix_length`, `num_prefixes` and `split`.

    Returns:
        The first sequences that are long enough, whole, and what to call
        them. Without a prefix, one sequence of no steps.

    Raises:
        RecipeError: None is long enough.
    """
    steps = settings.prefix_length
    if not steps:
        shape = (0, *sequences[0].shape[1:])
        return [np.zeros(shape, "float32")], ["no prefix"]
    fitting = [i for i, one in enumerate(sequences) if len(one) >= steps]
    if not fitting:
        raise RecipeError(
            f"No sequence of the {settings.split} split has so many steps; "
            f"the longest has {max(map(len, sequences))}. "
            f"Received: prefix_length={steps}."
        )
    chosen = fitting[: settings.num_prefixes]
    titles = [f"{settings.split} {index}" for index in chosen]
    return [sequences[index] for index in chosen], titles


def continue_sequences(
    model: Any, sequences: Sequence[np.ndarray], settings: SampleSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Samples what comes after the beginnings of sequences.

    Args:
        model: A `keras_fivo.LatentSequenceModel`.
        sequences: As from `choose_sequences`.
        settings: How long prefixes and samples are, and how many.

    Returns:
        Prefixes `(prefixes, steps, features)`, and continuations `(prefixes,
        samples, steps, features)`.
    """
    from keras import ops

    steps = settings.prefix_length
    prefixes = np.stack([one[:steps] for one in sequences]).astype("float32")
    print(
        f"Sampling {settings.num_samples} x {settings.sample_length} steps "
        f"after {steps} steps of {len(prefixes)} sequence(s)"
    )
    options: dict[str, Any] = {}
    if steps:
        options["prefix"] = prefixes
        options["num_particles"] = settings.num_particles
    samples = model.sample(
        settings.sample_length,
        num_samples=settings.num_samples,
        seed=settings.seed,
        **options,
    )
    samples = ops.convert_to_numpy(samples)
    return prefixes, samples if steps else samples[None]
