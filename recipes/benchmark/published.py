"""The cells of Marino et al. (2018), with the work of their trainings."""

import math
from typing import Any

# Number of features, steps and sequences of an update.
WORK = {
    "srnn_rolls": {"features": 88, "steps": 25, "batch": 16},
    "srnn_speech": {"features": 200, "steps": 40, "batch": 64},
    "vrnn_speech": {"features": 200, "steps": 40, "batch": 64},
}
_SIZES: dict[str, dict[str, Any]] = {
    "srnn_rolls": {
        "latent_dim": 100,
        "units": 300,
        "hidden_units": (500,),
        "emission_units": (500, 500),
        "update": "learned_sgd",
        "normalize_mean": True,
    },
    "srnn_speech": {
        "latent_dim": 256,
        "units": 1024,
        "hidden_units": (512, 512),
        "update": "highway",
    },
    "vrnn_speech": {
        "latent_dim": 200,
        "units": 2000,
        "hidden_units": (500,) * 4,
        "emission_units": (600,) * 4,
        "update": "learned_sgd",
        "normalize_mean": True,
    },
}
# One 16-bit level of speech, in deviations of the train split.
_LEVEL = 0.0018190742


def published_cell(workload: Any) -> Any:
    """Returns the cell of a `Workload` that is `published`."""
    from recipes.settings.iterative import FitSettings
    from recipes.training.modelling import build_cell

    name = workload.published
    settings = FitSettings(
        model=name.partition("_")[0],
        networks="avf",
        proposal=workload.proposal,
        update_units=(1024, 1024),
        num_iterations=workload.num_iterations,
        objective="em",
        online=workload.online,
        gradient_scale=1 / workload.batch,
        **_SIZES[name],
    )
    if name == "srnn_rolls":
        return build_cell(settings, "bernoulli")
    if name == "srnn_speech":
        return build_cell(settings, _speech(min_scale=math.exp(-10 / 2)))
    return _vrnn(settings)


def _speech(**options: Any) -> Any:
    """Returns the emission of the probability of 16-bit levels, as theirs."""
    import keras_fivo as kf

    return kf.QuantizedNormalHead(
        width=_LEVEL,
        centered=False,
        floor=1e-6,
        scale_form="log_variance",
        scale_bias=0.0,
        **options,
    )


def _vrnn(settings: Any) -> Any:
    """Returns the VRNN, whose networks have sizes of their own."""
    import keras_fivo as kf
    from recipes.training.refining import clamped_transition, refined

    hidden = list(settings.hidden_units)
    decoder = list(settings.emission_units)
    proposal = kf.FilteringProposal(hidden, residual=False)
    if settings.proposal == "iterative":
        proposal = refined(settings)
    return kf.VRNNCell(
        settings.latent_dim,
        units=settings.units,
        emission=_speech(
            hidden_units=decoder,
            min_scale=math.exp(-20 / 2),
            max_scale=math.exp(5 / 2),
        ),
        proposal=proposal,
        data_encoder=kf.Network(decoder, "relu", True, name="data_encoder"),
        latent_encoder=kf.Network(hidden, "relu", True, name="latent_encoder"),
        transition=clamped_transition(hidden, "relu"),
        learned_initial_state=True,
    )
