"""The cells of Marino et al. (2018), with the work of their trainings."""

from typing import Any

# Number of features, steps and sequences of an update.
WORK = {
    "srnn_rolls": {"features": 88, "steps": 25, "batch": 16},
    "srnn_speech": {"features": 200, "steps": 40, "batch": 64},
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
}
# One 16-bit level of speech, in deviations of the train split.
_LEVEL = 0.0018190742


def published_cell(workload: Any) -> Any:
    """Returns the cell of a `Workload` that is `published`."""
    import math

    import keras_fivo as kf
    from recipes.settings.iterative import FitSettings
    from recipes.training.modelling import build_cell

    name = workload.published
    settings = FitSettings(
        model="srnn",
        networks="avf",
        proposal=workload.proposal,
        update_units=(1024, 1024),
        num_iterations=workload.num_iterations,
        objective="em",
        online=workload.online,
        gradient_scale=1 / workload.batch,
        **_SIZES[name],
    )
    emission: Any = "bernoulli"
    if name == "srnn_speech":
        emission = kf.QuantizedNormalHead(
            width=_LEVEL,
            centered=False,
            floor=1e-6,
            scale_form="log_variance",
            scale_bias=0.0,
            min_scale=math.exp(-10 / 2),
        )
    return build_cell(settings, emission)
