"""Emissions of normalised samples."""

from collections.abc import Mapping
from typing import Any

import keras_fivo as kf

PROBABILITIES = (kf.QuantizedNormalHead, kf.DiscretizedLogisticMixtureHead)


def emission(settings: Any, attributes: Mapping[str, Any]) -> Any:
    """Returns the head of p(samples of a step | latent, past).

    Data are `(sample - mean) / deviation` with 16-bit samples: their lattice
    has the width 1 / deviation.

    Args:
        settings: `recipes.speech.config.FitSettings`.
        attributes: The `mean` and the `deviation` of the recordings.
    """
    mean, width = attributes["mean"], 1 / attributes["deviation"]
    name, min_scale = settings.emission, settings.min_scale
    if name == "discretized_logistic_mixture":
        return kf.DiscretizedLogisticMixtureHead(
            num_components=settings.num_components,
            low=(-(2**15) - mean) * width,
            high=(2**15 - 1 - mean) * width,
            num_bins=2**16,
        )
    if name == "quantized_normal":
        return kf.QuantizedNormalHead(
            min_scale=min_scale, width=width, offset=-mean * width
        )
    if name == "autoregressive_normal":
        return kf.AutoregressiveNormalHead(
            min_scale=min_scale, order=settings.order
        )
    if name == "normal_mixture":
        return kf.NormalMixtureHead(
            min_scale=min_scale, num_components=settings.num_components
        )
    heads = {
        "normal": kf.NormalHead,
        "laplace": kf.LaplaceHead,
        "student_t": kf.StudentTHead,
    }
    return heads[name](min_scale=min_scale)
