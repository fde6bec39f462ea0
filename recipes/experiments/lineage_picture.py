"""A picture of particles and their ancestors.

`python -m recipes.experiments.lineage_picture`
"""

import sys
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from recipes.errors import RecipeError, told_to_the_user
from recipes.pictures import GIVEN, MADE, TEXT, picture, tidy
from recipes.settings.base import FilePath, Natural, Positive
from recipes.settings.common import TrainedSettings
from recipes.settings.program import Program

# Areas, in points squared, of a particle without weight and with all of it.
_SMALLEST, _LARGEST = 5.0, 150.0


class LineageSettings(TrainedSettings):
    """What the picture can be told."""

    heading: ClassVar[str] = "Picture"
    sequence: Natural = 0
    """Number of the sequence of the split that is filtered."""
    num_steps: Annotated[int, Field(ge=2)] = 40
    """Number of its steps that are shown, at most."""
    entry: Natural = 0
    """Number of the latent's entry that is drawn."""
    num_particles: Positive = 32
    """Number of particles."""
    seed: Natural = 0
    """Seed of the noise."""
    output: FilePath = "runs/lineage.png"
    """PNG file to write."""


def run(settings: LineageSettings) -> None:
    """Filters a sequence, draws its particles, and counts their ancestors."""
    import keras_fivo as kf
    from recipes.training.trained import load_trained

    trained = load_trained(settings)
    split = trained.sequences.split(settings.split)
    with told_to_the_user():
        _check("sequence", settings.sequence, len(split))
        _check("entry", settings.entry, trained.model.cell.latent_dim)
    observations = np.asarray(split[settings.sequence])[: settings.num_steps]
    bound = kf.FIVO(settings.num_particles)
    noise = bound.draw(
        trained.model.cell, len(observations), 1, seed=settings.seed
    )
    result = trained.model.filter(
        observations[None].astype("float32"), bound=bound, noise=noise
    )
    latents = np.asarray(result.latents)[0, ..., settings.entry]
    logs = np.asarray(result.log_weights)[0]
    weights = np.exp(logs - logs.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    lineage = kf.lineage(result)[0]
    counts = survivors(lineage)
    half = len(counts) // 2
    print(
        f"{settings.num_particles} particles of the last of {len(counts)} "
        f"steps descend from {counts[half]} of step {half} and {counts[0]} of "
        "step 0."
    )
    with told_to_the_user():
        plot(settings.output, latents, weights, lineage)
    print(f"Written to {settings.output}")


def _check(name: str, value: int, count: int) -> None:
    if value >= count:
        raise RecipeError(
            f"`{name}` must be below {count}. Received: {name}={value}."
        )


def survivors(lineage: np.ndarray) -> list[int]:
    """Counts the particles of each step with descendants in the last.

    Args:
        lineage: Of one sequence, `(time, particles)`.
    """
    return [len(np.unique(row)) for row in lineage]


def plot(
    path: Any, latents: np.ndarray, weights: np.ndarray, lineage: np.ndarray
) -> None:
    """Draws particles by step, and the paths of those that are left.

    Args:
        path: Path of the PNG file.
        latents: One entry of the latents, `(time, particles)`.
        weights: Of the particles, before they are resampled; of a step they
            sum to one.
        lineage: As from `kf.lineage`, of one sequence.
    """
    steps, particles = latents.shape
    times = np.repeat(np.arange(steps)[:, None], particles, axis=1)
    paths = np.take_along_axis(latents, lineage, axis=1)
    with picture(path, 9.0, 4.2, colours=96) as figure:
        axes, below = figure.subplots(
            2, 1, sharex=True, height_ratios=(4, 1), squeeze=True
        )
        axes.scatter(
            times,
            latents,
            s=_SMALLEST + (_LARGEST - _SMALLEST) * weights,
            color=GIVEN,
            alpha=0.6,
            linewidths=0,
            zorder=3,
            label="particles, by weight",
        )
        lines = axes.plot(times[:, :1], paths, color=MADE, alpha=0.7, lw=0.8)
        lines[0].set_label("ancestors of the last ones")
        axes.set_ylabel("latent", fontsize=9, color=TEXT)
        axes.legend(
            frameon=False,
            fontsize=8,
            ncols=2,
            loc="lower right",
            bbox_to_anchor=(1, 1),
        )
        below.step(times[:, 0], survivors(lineage), where="mid", color=MADE)
        below.set_ylim(0, particles * 1.1)
        below.set_ylabel("ancestors", fontsize=9, color=TEXT)
        below.set_xlabel("step", fontsize=9, color=TEXT)
        below.xaxis.get_major_locator().set_params(integer=True)
        for each in (axes, below):
            tidy(each)


PROGRAM = Program(
    "python -m recipes.experiments.lineage_picture",
    "Draws the particles of a filter, and which of them are left.",
    """\
Filters one sequence, and draws its particles, as large as their weights, with
the paths of the last ones back through their ancestors: where few lines are
left, few particles tell what was long ago.

  python -m recipes.experiments.lineage_picture
  python -m recipes.experiments.lineage_picture run=runs/bach entry=3""",
    LineageSettings(run="chain-filtering"),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
