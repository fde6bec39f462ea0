"""The settings of the benchmark."""

import dataclasses

from recipes.settings.options import Settings, boolean, integers, names, setting

BACKENDS = ("jax", "tensorflow", "torch")
_WORK = "Work"
_RUN = "Measurement"


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """What `benchmark` takes."""

    backends: tuple | None = setting(
        None,
        "Backends, as jax,torch; not set: that of KERAS_BACKEND.",
        _WORK,
        type=names,
        metavar="NAME,...",
    )
    jit_compile: str = setting(
        "both",
        "Whether the step is compiled. JAX always is.",
        _WORK,
        choices=("true", "false", "both"),
    )
    model: str = setting("vrnn", "Cell.", _WORK, choices=("vrnn", "srnn"))
    bounds: tuple = setting(
        ("elbo", "iwae", "fivo"),
        "Bounds.",
        _WORK,
        type=names,
        metavar="NAME,...",
    )
    num_particles: tuple = setting(
        (4, 16),
        "Particles; ELBO always has one.",
        _WORK,
        type=integers,
        metavar="N,...",
    )
    units: int = setting(64, "Size of all layers and latents.", _WORK, low=1)
    features: int = setting(88, "Features of an observation.", _WORK, low=1)
    steps: int = setting(84, "Time steps of each sequence.", _WORK, low=1)
    batch: int = setting(4, "Sequences.", _WORK, low=1)
    proposal: str = setting(
        "filtering",
        "Proposal.",
        _WORK,
        choices=("filtering", "smoothing", "transition"),
    )

    against: str | None = setting(
        None,
        "Command to run in turn, which prints `... X updates/s, ...`; "
        "{bound}, {num_particles}, {steps} and {batch} stand for the work's.",
        _RUN,
        type=str,
        metavar="COMMAND",
    )
    rounds: int = setting(3, "Rounds; medians are reported.", _RUN, low=1)
    seconds: float = setting(1.0, "Of each round, about.", _RUN, above=0)
    threads: int | None = setting(
        None,
        "Threads of each program, on as many cores; not set: as it comes.",
        _RUN,
        type=int,
        low=1,
    )
    fit: bool = setting(
        True, "Whether to measure what `fit` adds too.", _RUN, type=boolean
    )
    output: str | None = setting(
        None, "JSON file to write.", _RUN, type=str, metavar="FILE"
    )
