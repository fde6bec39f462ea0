"""Posteriors and forecasts: `python -m recipes.experiments.posterior`."""

import sys
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from recipes.errors import told_to_the_user
from recipes.ghmm.data import Process
from recipes.settings.base import (
    FilePath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.program import Program


class PictureSettings(Settings):
    """What the picture can be told."""

    heading: ClassVar[str] = "Picture"
    num_steps: Annotated[int, Field(ge=8)] = 36
    """Number of steps of the chain."""
    variance: PositiveFloat = 0.1
    """Variance of a step of the latent, and of an observation."""
    num_particles: Positive = 32
    """Number of particles."""
    lag: Natural = 3
    """Number of later steps that fixed-lag smoothing looks at."""
    seed: Natural = 0
    """Seed of the chain and of the noise."""
    output: FilePath = "docs/ghmm-posterior.png"
    """Picture to write."""


def run(settings: PictureSettings) -> None:
    """Draws as the settings say."""
    import keras_fivo as kf
    from recipes.ghmm.models import build_cell
    from recipes.ghmm.pictures import draw_chain

    process = Process(
        transition_variance=settings.variance,
        observation_variance=settings.variance,
    )
    generator = np.random.default_rng(settings.seed)
    noise = generator.standard_normal(
        (1, process.noise_size(settings.num_steps))
    )
    latents, observations = process.simulate(noise)
    mask = np.ones((1, settings.num_steps), "bool")
    start = settings.num_steps * 5 // 12
    mask[:, start : start + settings.num_steps // 6] = False
    model = kf.LatentSequenceModel(
        build_cell(process, "exact_filtering"), seed=settings.seed
    )
    with told_to_the_user():
        draw_chain(
            settings.output,
            model,
            observations[0],
            latents[0],
            mask=mask[0],
            prefix_length=settings.num_steps * 2 // 3,
            num_particles=settings.num_particles,
            lag=settings.lag,
            seed=settings.seed,
        )
    print(f"Written to {settings.output}")


PROGRAM = Program(
    "python -m recipes.experiments.posterior",
    "Draws posteriors and forecasts of a chain.",
    """\
Draws what filtering, smoothing, forecasting and sampling by particles find of
a chain with a gap in its observations, beside the exact answers.""",
    PictureSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
