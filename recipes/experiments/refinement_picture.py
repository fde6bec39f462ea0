"""A picture of refinements: `python -m recipes.experiments.refinement_picture`.

As Figure 5 of Marino et al. (2018): free energies before the first refinement
and after each.
"""

import sys
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from recipes.errors import RecipeError, told_to_the_user
from recipes.experiments import refinements
from recipes.pictures import GIVEN, MADE, TEXT, picture, tidy
from recipes.settings.base import (
    FilePath,
    FolderPath,
    Natural,
    Positive,
    Settings,
)
from recipes.settings.program import Program


class PictureSettings(Settings):
    """What the picture can be told."""

    heading: ClassVar[str] = "Picture"
    run: FolderPath | None = None
    """Folder of a run whose proposal is iterative. If it is not set, one is
    trained here on a linear Gaussian chain, as the measurement of refinements
    does."""
    num_iterations: Positive = 4
    """Number of refinements of that proposal."""
    num_steps: Annotated[int, Field(ge=2)] = 30
    """Number of steps of the sequence that is shown, at most."""
    sequences: Positive = 64
    """Number of sequences to average over, at most."""
    updates: Positive = 300
    """Number of updates of the training on the chain."""
    particles: Positive = 16
    """Number of independent paths of each sequence."""
    seed: Natural = 0
    """Seed of the data, the weights and the noise."""
    output: FilePath = "runs/refinements.png"
    """PNG file to write."""


def run(settings: PictureSettings) -> None:
    """Finds free energies, draws them, and prints their means."""
    if settings.run is None:
        energies, active = of_chain(settings)
    else:
        energies, active = of_run(settings)
    means, errors = averages(energies, active)
    for k, (mean, error) in enumerate(zip(means, errors, strict=True)):
        print(f"after {k} refinements: {mean:.3f} ± {error:.3f} nats per step")
    with told_to_the_user():
        plot(settings.output, energies, active, settings.num_steps)
    print(f"Written to {settings.output}")


def of_chain(settings: PictureSettings) -> tuple[np.ndarray, np.ndarray]:
    """Returns free energies of a proposal that is trained on a chain."""
    import keras_fivo as kf

    chain = refinements.RefinementSettings(
        num_steps=settings.num_steps,
        updates=settings.updates,
        particles=settings.particles,
        seed=settings.seed,
    )
    update = kf.LearnedSGDUpdate(
        [32, 32], normalize_inputs=False, gradient_scale=0.1
    )
    proposal = kf.IterativeProposal(settings.num_iterations, update)
    model = refinements.model_of(proposal, chain)
    count = settings.updates * chain.batch_size
    model.fit(
        refinements.simulate(count, settings.seed, chain),
        batch_size=chain.batch_size,
        verbose=0,
    )
    data = refinements.simulate(settings.sequences, settings.seed + 1, chain)
    return _energies(model, data)


def of_run(settings: PictureSettings) -> tuple[np.ndarray, np.ndarray]:
    """Returns free energies of a trained model on test sequences.

    Raises:
        RecipeError: Its proposal is not refined.
    """
    import keras_fivo as kf
    from recipes.settings.common import EvaluateSettings
    from recipes.training.trained import load_trained

    trained = load_trained(EvaluateSettings(run=str(settings.run)))
    model = trained.model
    if not model.cell.proposal.num_evaluations:
        raise RecipeError(
            "There is nothing to draw: the proposal is not iterative. "
            f"Received: run={settings.run!r}."
        )
    model.evaluation_bound = kf.ELBO(settings.particles)
    songs = trained.sequences.split("test")[: settings.sequences]
    return _energies(model, kf.pad_sequences(songs))


def _energies(model: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns energies `(sequences, time, evaluations)`, and what counts."""
    from keras import ops

    result = model.filter(data)
    energies = ops.convert_to_numpy(result.free_energies).mean(2)
    return energies, ops.convert_to_numpy(result.active)


def averages(
    energies: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns means per step, and their standard errors over sequences.

    Args:
        energies: `(sequences, time, evaluations)`, zero where nothing counts.
        active: Bool `(sequences, time)`.

    Returns:
        Two arrays `(evaluations,)`: sum over sum, and its standard error.
    """
    sums, steps = energies.sum(1), active.sum(1)[:, None]
    means = sums.sum(0) / steps.sum()
    # Of a ratio: residuals of the sums, over the mean number of steps.
    residuals = (sums - means * steps) / steps.mean()
    return means, residuals.std(0) / len(sums) ** 0.5


def plot(
    path: str, energies: np.ndarray, active: np.ndarray, num_steps: int
) -> None:
    """Draws one sequence step by step, and the means over all.

    Args:
        path: Path of the PNG file.
        energies: As for `averages`.
        active: As for `averages`.
        num_steps: Number of steps of the first sequence to show, at most.
    """
    from matplotlib.ticker import LogFormatter

    count = energies.shape[-1]
    means, errors = averages(energies, active)
    shown = energies[0, active[0]][:num_steps]
    with picture(path, 10.0, 3.8) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        for k in range(count):
            left.plot(
                np.arange(1, len(shown) + 1),
                shown[:, k],
                color=GIVEN if k == 0 else MADE,
                alpha=1.0 if k == 0 else 0.25 + 0.75 * k / (count - 1),
                linewidth=1.3,
                label="before" if k == 0 else f"after {k}",
            )
        left.set_title("One sequence", fontsize=10, loc="left")
        left.set_xlabel("step", fontsize=9, color=TEXT)
        left.set_ylabel("free energy, nats", fontsize=9, color=TEXT)
        left.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(
            *left.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=count,
            frameon=False,
            fontsize=8,
        )
        right.errorbar(
            range(count), means, errors, color=MADE, marker="o", markersize=4
        )
        right.set_title(
            f"Mean of {len(energies)} sequences", fontsize=10, loc="left"
        )
        right.set_xlabel("refinements", fontsize=9, color=TEXT)
        right.set_xticks(range(count))
        for axes in (left, right):
            if energies[active].min() > 0:
                axes.set_yscale("log")
                for which in ("major", "minor"):
                    ticks = LogFormatter(minor_thresholds=(2, 0.8))
                    getattr(axes.yaxis, f"set_{which}_formatter")(ticks)
                axes.tick_params(which="minor", labelsize=7, length=0)
            tidy(axes)


PROGRAM = Program(
    "python -m recipes.experiments.refinement_picture",
    "Draws what each refinement of a proposal gains.",
    """\
Draws free energies before the first refinement of an iterative proposal and
after each: step by step of one sequence, and means over many. The proposal is
that of a run, or is trained here, on a linear Gaussian chain.

  python -m recipes.experiments.refinement_picture
  python -m recipes.experiments.refinement_picture run=runs/jsb-avf""",
    PictureSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
