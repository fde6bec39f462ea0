"""What learned twists gain: `python -m recipes.experiments.twist_curve`."""

import sys
import time
from typing import Annotated, ClassVar

from pydantic import Field

from recipes.errors import told_to_the_user
from recipes.settings.base import (
    FilePath,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.program import Program

# Name: (label, twist, objective, colour, line).
VARIANTS = {
    "none": (
        "no twist",
        None,
        None,
        "#777777",
        "-",
    ),
    "quadratic_density_ratio": (
        "quadratic twist, density ratio",
        "quadratic",
        "density_ratio",
        "#3b82c4",
        "-",
    ),
    "quadratic_temporal_difference": (
        "quadratic twist, temporal differences",
        "quadratic",
        "temporal_difference",
        "#123f73",
        "--",
    ),
    "look_ahead_density_ratio": (
        "backward RNN, density ratio",
        "look_ahead",
        "density_ratio",
        "#d9572b",
        "-",
    ),
    "exact": (
        "exact twist",
        "exact",
        None,
        "#222222",
        ":",
    ),
}
_AtLeastTwo = Annotated[int, Field(ge=2)]


class TwistSettings(Settings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Measurement"
    num_steps: _AtLeastTwo = 20
    """Number of steps of a sequence."""
    transition_variance: PositiveFloat = 1.0
    """Variance of a step of the latent."""
    observation_variance: PositiveFloat = 0.1
    """Variance of the observation of the last step."""
    num_particles: _AtLeastTwo = 4
    """Number of particles of FIVO in training."""
    max_particles: Positive = 256
    """Largest number of particles, a power of 2."""
    sequences: _AtLeastTwo = 512
    """Number of sequences to measure on."""
    updates: Annotated[int, Field(ge=20)] = 1_000
    """Number of updates."""
    batch_size: Positive = 32
    """Number of sequences in a batch."""
    learning_rate: PositiveFloat = 1e-2
    """Learning rate of Adam."""
    seed: Natural = 0
    """Seed of the data, the weights and the noise."""
    output: FilePath = "runs/ghmm-twist.json"
    """JSON file to write."""
    plot: FilePath = "docs/twist.png"
    """Picture to write."""

    @property
    def particles(self) -> list[int]:
        """2, 4, ... up to `max_particles`."""
        powers = range(1, self.max_particles.bit_length())
        return [2**power for power in powers]


def run(settings: TwistSettings) -> None:
    """Trains and measures every variant; prints tables and writes files."""
    from recipes.training.run_folder import write_json

    found = {name: curve(name, settings) for name in VARIANTS}
    print(table(found))
    content = {"settings": settings.as_dict(), "variants": found}
    with told_to_the_user():
        write_json(settings.output, content)
        plot(settings.plot, found)
    print(f"Written to {settings.output} and {settings.plot}")


def curve(name, settings):
    """Measures the gaps of a variant, in nats per sequence.

    Returns:
        A dict of `learning` and `particles`: lists of updates, or numbers
        of particles, with the mean gap and its standard error.
    """
    import keras
    import numpy as np

    import keras_fivo as kf

    keras.utils.set_random_seed(settings.seed)
    generator = np.random.default_rng(settings.seed)
    test = simulate(generator, settings.sequences, settings)
    bound = kf.FIVO(settings.num_particles)
    model = kf.LatentSequenceModel(
        build_cell(name, settings),
        kf.FIVO(settings.num_particles, criterion="always"),
        evaluation_bound=bound,
        seed=settings.seed,
    )
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    learns = bool(model.cell.trainable_variables)
    exact = keras.ops.convert_to_numpy(model.cell.exact(**test).log_evidence)

    def gap(bound):
        values = keras.ops.convert_to_numpy(model.log_evidence(test, bound))
        gaps = exact.astype("float64") - values
        return [float(gaps.mean()), float(gaps.std() / len(gaps) ** 0.5)]

    start, learning = time.monotonic(), [[0, *gap(bound)]]
    part = settings.updates // 20
    for number in range(1, 21):
        if learns:
            count = part * settings.batch_size
            model.fit(
                simulate(generator, count, settings),
                batch_size=settings.batch_size,
                verbose=0,
            )
            learning.append([number * part, *gap(bound)])
    if not learns:
        learning.append([20 * part, *learning[0][1:]])
    print(
        f"{VARIANTS[name][0]}: {learning[0][1]:.3f} to {learning[-1][1]:.3f} "
        f"nats; {time.monotonic() - start:.0f} s",
        flush=True,
    )
    particles = [[n, *gap(kf.FIVO(n))] for n in settings.particles]
    return {"learning": learning, "particles": particles}


def build_cell(name, settings):
    """Returns the chain of a variant, built."""
    import keras_fivo as kf

    _, twist, objective, *_ = VARIANTS[name]
    if twist == "quadratic":
        twist = kf.QuadraticTwist(settings.num_steps, objective)
    elif twist == "look_ahead":
        twist = kf.LookAheadTwist([32], 16, objective)
    cell = kf.GHMMCell(
        transition_variance=settings.transition_variance,
        emission_variance=settings.observation_variance,
        proposal="exact_filtering",
        twist=twist,
    )
    cell.build((None, None, 1))
    return cell


def simulate(generator, count, settings):
    """Simulates sequences, of which the last step alone is observed."""
    import numpy as np

    shape = (count, settings.num_steps, 1)
    steps = generator.standard_normal(shape)
    latents = np.cumsum(settings.transition_variance**0.5 * steps, axis=1)
    errors = settings.observation_variance**0.5 * generator.standard_normal(
        shape
    )
    mask = np.zeros(shape[:2], bool)
    mask[:, -1] = True
    return {
        "observations": (latents + errors).astype("float32"),
        "mask": mask,
        "lengths": np.full((count,), settings.num_steps, "int32"),
    }


def table(found):
    """Returns the gaps by number of particles as Markdown."""
    numbers = [n for n, *_ in next(iter(found.values()))["particles"]]
    lines = [
        "Exact log evidence - FIVO, mean ± standard error, nats per sequence:",
        "",
        "| particles | " + " | ".join(str(n) for n in numbers) + " |",
        "|---|" + "---:|" * len(numbers),
    ]
    for name, values in found.items():
        cells = [f"{mean:.3f} ± {e:.3f}" for _, mean, e in values["particles"]]
        lines.append(f"| {VARIANTS[name][0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(path, found):
    """Draws the gaps against updates, and against particles."""
    from recipes.ghmm.plots import panels

    options = {"columns": 2, "dpi": 90, "sharey": True}
    with panels(path, (9.0, 4.6), **options) as (figure, axes):
        for name, values in found.items():
            label, *_, colour, line = VARIANTS[name]
            for each, kind in zip(
                axes[0], ("learning", "particles"), strict=True
            ):
                where, mean, error = zip(*values[kind], strict=True)
                each.errorbar(
                    where,
                    mean,
                    yerr=error,
                    color=colour,
                    linestyle=line,
                    linewidth=1.3,
                    label=label,
                )
                each.set_yscale("symlog", linthresh=0.1)
        learning, particles = axes[0]
        learning.set_xlabel("updates", fontsize=9)
        learning.set_ylabel("exact - FIVO, nats per sequence", fontsize=9)
        particles.set_xscale("log", base=2)
        particles.set_xlabel("particles, after training", fontsize=9)
        figure.legend(
            *learning.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=2,
            frameon=False,
            fontsize=8,
        )


PROGRAM = Program(
    "python -m recipes.experiments.twist_curve",
    "Measures what learned twists gain.",
    """\
Trains twists on a chain of which the last step alone is observed, so that a
filter that does not look ahead goes astray. Prints the gap between the exact
log evidence and FIVO while they learn, and after that by the number of
particles; writes a JSON file and a picture.""",
    TwistSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
