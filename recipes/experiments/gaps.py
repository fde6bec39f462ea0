"""The gap of each bound: `python -m recipes.experiments.gaps`."""

import dataclasses
import sys
import time

from recipes.errors import RecipeError, told_to_the_user
from recipes.experiments.script import run_script
from recipes.ghmm.config import PROPOSALS
from recipes.settings.options import Settings, names, setting

_DESCRIPTION = """\
Measures how far the mean of each bound is below the exact log evidence, for
each proposal and number of particles. Proposals that learn are trained before,
with the bound that is measured. Prints tables, and writes a JSON file and a
picture."""
_CHAIN = "Chain"
_TRAINING = "Training of the proposals"
_MEASURING = "Measurement"
_BOUNDS = ("elbo", "iwae", "fivo")


@dataclasses.dataclass(frozen=True)
class GapSettings(Settings):
    """What the measurement takes."""

    num_steps: int = setting(20, "Observations of a sequence.", _CHAIN, low=1)
    variance: float = setting(
        0.1, "Of a step of the latent, and of an observation.", _CHAIN, above=0
    )
    data_seed: int = setting(0, "Of the simulation.", _CHAIN, low=0)

    proposals: tuple = setting(
        PROPOSALS, "Proposals.", _MEASURING, type=names, metavar="NAME,..."
    )
    bounds: tuple = setting(
        _BOUNDS, "Bounds.", _MEASURING, type=names, metavar="NAME,..."
    )
    max_particles: int = setting(
        1024, "The last power of 2 that is measured.", _MEASURING, low=1
    )
    sequences: int = setting(
        512, "Sequences, of the test split.", _MEASURING, low=2
    )
    scheme: str = setting("systematic", "How FIVO resamples.", _MEASURING)
    criterion: str = setting(
        "effective_sample_size", "When FIVO resamples.", _MEASURING
    )
    ess_fraction: float = setting(
        0.5, "At or below which FIVO resamples.", _MEASURING, above=0, high=1
    )

    updates: int = setting(4_000, "Updates.", _TRAINING, low=1)
    train_particles: int = setting(
        4, "Particles of IWAE and FIVO.", _TRAINING, low=1
    )
    batch_size: int = setting(32, "Sequences of a batch.", _TRAINING, low=1)
    learning_rate: float = setting(
        2e-2, "Of Adam, the first one; it falls to 0.", _TRAINING, above=0
    )
    seed: int = setting(0, "Of weights and noise.", _TRAINING, low=0)

    output: str = setting(
        "runs/ghmm-gaps.json", "JSON file to write.", "Output", metavar="FILE"
    )
    plot: str = setting(
        "docs/ghmm-gap.png", "Picture to write.", "Output", metavar="FILE"
    )

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("proposals", PROPOSALS), ("bounds", _BOUNDS)):
            unknown = [x for x in getattr(self, name) if x not in known]
            if unknown:
                raise RecipeError(
                    f"`{name}` may name {', '.join(known)}. "
                    f"Received: {name} with {unknown[0]!r}."
                )
        if self.max_particles & (self.max_particles - 1):
            raise RecipeError(
                "`max_particles` must be a power of 2. "
                f"Received: max_particles={self.max_particles}."
            )

    @property
    def particles(self):
        """1, 2, 4, ... up to `max_particles`."""
        return [2**power for power in range(self.max_particles.bit_length())]


def main(argv=None):
    """Measures as the command line says; returns the exit code."""
    return run_script(
        GapSettings, "recipes.experiments.gaps", _DESCRIPTION, run, argv
    )


def run(settings):
    """Measures as the settings say; prints tables and writes files.

    Args:
        settings: `GapSettings`.

    Returns:
        A list of `recipes.experiments.gap_measurement.Gap`.
    """
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


def table(gaps, settings):
    """The gaps as Markdown, a table for each bound."""
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


def verdict(gaps):
    """Which means are above the exact log evidence, and by how much."""
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


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _write(gaps, settings):
    from recipes.ghmm.plots import plot_gaps
    from recipes.training.run_folder import write_json

    content = {
        "settings": settings.as_dict(),
        "gaps": [dataclasses.asdict(gap) for gap in gaps],
    }
    with told_to_the_user():
        write_json(settings.output, content)
        plot_gaps(settings.plot, gaps)
    print(f"Written to {settings.output} and {settings.plot}")


if __name__ == "__main__":
    sys.exit(main())
