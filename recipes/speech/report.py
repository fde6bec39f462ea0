"""Bounds in nats of 16-bit samples."""

import math
from typing import Any

from recipes.speech.baselines import linear_prediction, white_noise
from recipes.speech.emissions import PROBABILITIES


def sixteen_bit_report(
    trained: Any, settings: Any, content: dict[str, Any]
) -> dict[str, Any]:
    """Prints the bounds in nats of 16-bit samples too.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: Has the `split`.
        content: What `evaluate` found.

    Returns:
        The content with `sixteen_bit`, nats per step by bound and baseline, and
        `nats_to_sixteen_bit`, what a density of the normalised data gains.
    """
    attributes = trained.sequences.recordings.attributes
    size = attributes["samples_per_step"]
    gain = -size * math.log(attributes["deviation"])
    is_density = not isinstance(trained.model.cell.emission, PROBABILITIES)
    found = {
        name.upper(): values["bound_per_step"] + (gain if is_density else 0.0)
        for name, values in content["bounds"].items()
    }
    simple = {
        "linear prediction": linear_prediction,
        "white noise": white_noise,
    }
    for name, predictor in simple.items():
        found[name] = predictor(trained.sequences, settings.split) + gain
    told = "The bounds are of densities of the normalised data."
    if not is_density:
        told = (
            "The bounds are of probabilities of 16-bit samples; the "
            "baseline's is of a density of the normalised data."
        )
    print(f"A step is {size} samples. {told}\n")
    print(f"{'nats of 16-bit samples':<24} {'per step':>10} {'per sample':>14}")
    for name, value in found.items():
        print(f"{name:<24} {value:>10.3f} {value / size:>14.4f}")
    print()
    return {**content, "sixteen_bit": found, "nats_to_sixteen_bit": gain}
