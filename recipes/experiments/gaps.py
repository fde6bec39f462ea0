"""The gap of each bound: `python -m recipes.experiments.gaps`."""

import dataclasses
import sys
import time
import typing
from typing import Annotated, ClassVar

import pydantic
from pydantic import Field

from recipes.errors import told_to_the_user
from recipes.ghmm.config import PROPOSALS, Proposal
from recipes.settings.base import (
    FilePath,
    Fraction,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import BOUNDS, Bound, Criterion, Scheme
from recipes.settings.program import Program

if typing.TYPE_CHECKING:
    from recipes.experiments.gap_measurement import Gap


class ChainSettings(Settings):
    """The chain."""

    heading: ClassVar[str] = "Chain"
    num_steps: Positive = 20
    """Number of observations of a sequence."""
    variance: PositiveFloat = 0.1
    """Variance of a step of the latent, and of an observation."""
    data_seed: Natural = 0
    """Seed of the simulation."""


class MeasurementSettings(Settings):
    """What is measured."""

    heading: ClassVar[str] = "Measurement"
    proposals: tuple[Proposal, ...] = PROPOSALS
    """Names of the proposals."""
    bounds: tuple[Bound, ...] = BOUNDS
    """Names of the bounds."""
    max_particles: Positive = 1024
    """Largest number of particles, a power of 2."""
    sequences: Annotated[int, Field(ge=2)] = 512
    """Number of sequences of the test split to measure on."""
    scheme: Scheme = "systematic"
    """Scheme by which FIVO resamples."""
    criterion: Criterion = "effective_sample_size"
    """Criterion by which FIVO decides when to resample."""
    ess_fraction: Fraction = 0.5
    """Effective sample size, as a fraction of the particles, at or below which
    FIVO resamples."""
    temperature: PositiveFloat = 0.5
    """Temperature of the relaxed resampling scheme."""


class TrainingSettings(Settings):
    """How proposals learn."""

    heading: ClassVar[str] = "Training of the proposals"
    updates: Positive = 4_000
    """Number of updates."""
    train_particles: Positive = 4
    """Number of particles of IWAE and FIVO."""
    batch_size: Positive = 32
    """Number of sequences in a batch."""
    learning_rate: PositiveFloat = 2e-2
    """Initial learning rate of Adam; it falls to 0."""
    seed: Natural = 0
    """Seed of the weights and of the noise."""


# The last base comes first in the help.
class GapSettings(TrainingSettings, MeasurementSettings, ChainSettings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Output"
    output: FilePath = "runs/ghmm-gaps.json"
    """JSON file to write."""
    plot: FilePath = "docs/ghmm-gap.png"
    """Picture to write."""

    @pydantic.field_validator("max_particles")
    @classmethod
    def _check_power(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("`max_particles` must be a power of 2.")
        return value

    @property
    def particles(self) -> list[int]:
        """1, 2, 4, ... up to `max_particles`."""
        return [2**power for power in range(self.max_particles.bit_length())]


def run(settings: GapSettings) -> "list[Gap]":
    """Measures as the settings say; prints tables and writes files."""
    import numpy as np

    from recipes.experiments.gap_measurement import (
        exact_values,
        measure,
        trained_model,
    )
    from recipes.ghmm.data import Chains, Process

    process = Process(
        transition_variance=settings.variance,
        observation_variance=settings.variance,
    )
    chains = Chains(
        process, settings.num_steps, 4 * settings.sequences, settings.data_seed
    )
    observations = np.stack(chains.split("test"))
    exact = exact_values(chains, observations)
    print(f"Exact log evidence: {exact.mean():.4f} nats per sequence")
    start = time.monotonic()
    gaps = []
    for bound in settings.bounds:
        for proposal in settings.proposals:
            model = trained_model(chains, bound, proposal, settings)
            gaps += measure(
                model, bound, proposal, observations, exact, settings
            )
            print(
                f"{bound.upper()}, {proposal}: {gaps[-1].mean:.4f} nats with "
                f"{gaps[-1].num_particles} particles; "
                f"{time.monotonic() - start:.0f} s so far",
                flush=True,
            )
    print(table(gaps, settings))
    print(verdict(gaps))
    _write(gaps, settings)
    return gaps


def table(gaps: "list[Gap]", settings: GapSettings) -> str:
    """Returns the gaps as Markdown, a table for each bound."""
    lines = []
    for bound in settings.bounds:
        particles = settings.particles if bound != "elbo" else [1]
        lines += ["", f"{bound.upper()}, mean gap ± standard error, nats:", ""]
        head = ["particles", *(x.replace("_", " ") for x in settings.proposals)]
        lines += [_row(head), _row(["---:"] * len(head))]
        for number in particles:
            cells = [
                # No -0.0000.
                f"{round(gap.mean, 4) + 0.0:.4f} ± {gap.error:.4f}"
                for proposal in settings.proposals
                for gap in gaps
                if (gap.bound, gap.proposal, gap.num_particles)
                == (bound, proposal, number)
            ]
            lines.append(_row([str(number), *cells]))
    return "\n".join(lines) + "\n"


def verdict(gaps: "list[Gap]") -> str:
    """Tells which means are above the exact log evidence, and by how much."""
    # Of averages of an ELBO only the error depends on their number.
    counted = [g for g in gaps if g.bound != "elbo" or g.num_particles == 1]
    above = [gap for gap in counted if gap.excess > 0]
    lines = [
        f"{len(counted)} means; above the exact log evidence, by more than "
        f"rounding: {len(above)}; by more than 1 standard error: "
        f"{sum(gap.excess > 1 for gap in above)}; by more than 2: "
        f"{sum(gap.excess > 2 for gap in above)}; by more than 3: "
        f"{sum(gap.excess > 3 for gap in above)}."
    ]
    lines += [
        f"  {gap.bound.upper()}, {gap.proposal}, {gap.num_particles} "
        f"particles: {-gap.mean:.5f} above, {gap.excess:.1f} standard errors"
        for gap in above
    ]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _write(gaps: "list[Gap]", settings: GapSettings) -> None:
    from recipes.experiments.gap_picture import plot_gaps
    from recipes.training.run_folder import write_json

    content = {
        "settings": settings.as_dict(),
        "gaps": [dataclasses.asdict(gap) for gap in gaps],
    }
    with told_to_the_user():
        write_json(settings.output, content)
        plot_gaps(settings.plot, gaps)
    print(f"Written to {settings.output} and {settings.plot}")


PROGRAM = Program(
    "python -m recipes.experiments.gaps",
    "Measures how far bounds are below the exact log evidence.",
    """\
Measures how far the mean of each bound is below the exact log evidence, for
each proposal and number of particles. Proposals that learn are trained before,
with the bound that is measured. Prints tables, and writes a JSON file and a
picture.""",
    GapSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
