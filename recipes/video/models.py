"""Models of video from settings."""

import math
from typing import Any

import keras

import keras_fivo as kf
from recipes.training.modelling import compile_model
from recipes.training.refining import refined


def build_model(settings: Any, train: Any, emission: Any) -> Any:
    """Returns a compiled model that is adapted to the training data.

    Args:
        settings: `recipes.video.config.FitSettings`.
        train: Batches of the training data.
        emission: A head of keras_fivo.
    """
    keras.utils.set_random_seed(settings.seed)
    proposal: Any = settings.proposal
    start = proposal
    if proposal == "iterative":
        proposal, start = refined(settings), settings.start
    units = settings.units or 2 * settings.latent_dim
    cell = kf.SVGCell(
        settings.latent_dim,
        units=units,
        emission=emission,
        proposal=proposal,
        blocks=[[size] * settings.convolutions for size in settings.blocks],
        encoding_dim=settings.encoding_dim,
        num_layers=settings.num_layers,
        # The paper's encoder of x_t; refinements of the transition need none.
        posterior_units=units if start == "filtering" else None,
        skip_connections=settings.skip_connections,
        normalization=settings.normalization,
    )
    return compile_model(cell, settings, train)


def emission(settings: Any) -> kf.Head:
    """Returns the head of a pixel's distribution, as the paper has it."""
    if settings.emission == "bernoulli":
        return kf.BernoulliHead()
    options: dict[str, Any] = {
        "adaptive": False,
        "scale_form": "log_variance",
        "min_scale": math.exp(-5),
        "location_activation": "sigmoid",
    }
    if settings.emission == "normal":
        return kf.NormalHead(**options)
    return kf.QuantizedNormalHead(width=1 / 255, **options)
