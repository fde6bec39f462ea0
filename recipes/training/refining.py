"""Proposals that refine themselves, and the cells of their paper."""

import math

import keras

import keras_fivo as kf
from recipes.errors import RecipeError

# Heads that settings name.
HEADS = {
    "bernoulli": kf.BernoulliHead,
    "autoregressive_bernoulli": kf.AutoregressiveBernoulliHead,
}
UPDATES = {
    "highway": kf.HighwayUpdate,
    "learned_sgd": kf.LearnedSGDUpdate,
}


def build_proposal(settings):
    """Returns the proposal of settings with refinements, or its name."""
    if settings.proposal != "iterative":
        if settings.networks == "avf" and settings.proposal == "filtering":
            return kf.FilteringProposal(residual=False)
        return settings.proposal
    return refined(settings)


def refined(settings):
    """Returns the proposal of `settings.iterative.RefinementSettings`."""
    common = {
        "normalize_mean": settings.normalize_mean,
        "gradient_scale": settings.gradient_scale,
    }
    if settings.update == "gradient":
        update = kf.GradientUpdate(learned=True, **common)
    else:
        update = UPDATES[settings.update](
            settings.update_units, reads=settings.update_reads, **common
        )
    return kf.IterativeProposal(
        settings.num_iterations,
        update,
        start=settings.start,
        objective=settings.objective,
        online=settings.online,
    )


def build_emission(emission, settings):
    """Returns the head, with the hidden layers that the settings name."""
    changed = {}
    if settings.emission_units is not None:
        changed["hidden_units"] = list(settings.emission_units)
    if settings.networks == "avf":
        changed["activation"] = keras.activations.serialize(
            kf.clipped_leaky_relu
        )
    if not changed:
        return emission
    head = HEADS[emission]() if isinstance(emission, str) else emission
    return type(head).from_config({**head.get_config(), **changed})


def networks_of(settings):
    """Returns arguments of the cell, on the form of its networks.

    Raises:
        RecipeError: For a cell that the paper has no such form of.
    """
    if settings.networks == "fivo":
        return {}
    if settings.model != "srnn":
        raise RecipeError(
            "Networks of the form `avf` are those of an SRNN: set model=srnn. "
            f"Received: networks=avf with model={settings.model}."
        )
    hidden = settings.hidden_units or (settings.units or settings.latent_dim,)
    return {
        "activation": kf.clipped_leaky_relu,
        "data_encoder": False,
        "latent_encoder": False,
        "learned_initial_state": True,
        "transition": clamped_transition(hidden, kf.clipped_leaky_relu),
    }


def clamped_transition(hidden_units, activation):
    """Returns the transition of the paper, of log-variances in [-15, 5]."""
    return kf.NormalHead(
        hidden_units=hidden_units,
        activation=activation,
        min_scale=math.exp(-15 / 2),
        max_scale=math.exp(5 / 2),
        scale_form="log_variance",
        scale_bias=0.0,
        adaptive=False,
        name="transition",
    )
