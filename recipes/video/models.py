"""Models of video from settings."""

import math
from typing import Any

import keras

import keras_fivo as kf
from recipes.training.modelling import compile_model


def build_model(settings: Any, train: Any, emission: Any) -> Any:
    """Returns a compiled model that is adapted to the training data.

    Args:
        settings: `recipes.video.config.FitSettings`.
        train: Batches of the training data.
        emission: A head of keras_fivo.
    """
    keras.utils.set_random_seed(settings.seed)
    proposal: Any = settings.proposal
    if proposal == "iterative":
        proposal = iterative(settings)
    units = settings.units or 2 * settings.latent_dim
    cell = kf.SVGCell(
        settings.latent_dim,
        units=units,
        emission=emission,
        proposal=proposal,
        blocks=[[size] * settings.convolutions for size in settings.blocks],
        encoding_dim=settings.encoding_dim,
        num_layers=settings.num_layers,
        # The paper's encoder of x_t; refinements need none.
        posterior_units=units if settings.proposal == "filtering" else None,
        skip_connections=settings.skip_connections,
        normalization=settings.normalization,
    )
    return compile_model(cell, settings, train)


def iterative(settings: Any) -> kf.IterativeProposal:
    """Returns the proposal that refines itself, as the settings say."""
    update: Any = settings.update
    if update != "gradient":
        update = {
            "highway": kf.HighwayUpdate,
            "learned_sgd": kf.LearnedSGDUpdate,
        }[update](
            [settings.update_units],
            reads="encoding" if settings.reads_frame else None,
        )
    return kf.IterativeProposal(
        settings.num_iterations, update, objective=settings.objective
    )


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
