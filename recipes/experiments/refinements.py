"""What refinements gain: `python -m recipes.experiments.refinements`."""

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

RATES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16)
ITERATIONS = (1, 2, 4, 8)
NETWORKS = ("highway", "learned_sgd")


class RefinementSettings(Settings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Measurement"
    num_steps: Annotated[int, Field(ge=2)] = 10
    """Number of steps of a sequence."""
    observation_variance: PositiveFloat = 0.1
    """Variance of an observation, where a step of the latent has 1."""
    sequences: Positive = 512
    """Number of sequences to measure on."""
    particles: Positive = 16
    """Number of independent paths of each."""
    updates: Annotated[int, Field(ge=1)] = 1_000
    """Number of updates of each network."""
    batch_size: Positive = 32
    """Number of sequences in a batch."""
    learning_rate: PositiveFloat = 3e-3
    """Learning rate of Adam."""
    seed: Natural = 0
    """Seed of the data, the weights and the noise."""
    output: FilePath = "runs/ghmm-refinements.json"
    """JSON file to write."""


def run(settings: RefinementSettings) -> None:
    """Measures all, prints a table and writes a file."""
    from recipes.training.run_folder import write_json

    data = simulate(settings.sequences, settings.seed + 1, settings)
    exact, _ = measure(model_of("exact_filtering", settings), data)
    start, found = time.monotonic(), []
    for iterations in ITERATIONS:
        row = {"iterations": iterations, **plain(iterations, data, settings)}
        for name in NETWORKS:
            row[name] = learned(name, iterations, data, settings)
        found.append(row)
        numbers = ", ".join(
            f"{name} {row[name][0]:.4f}" for name in ("plain", *NETWORKS)
        )
        print(
            f"{iterations} refinements: {numbers} nats per step (exact "
            f"{exact[0]:.4f}); {time.monotonic() - start:.0f} s",
            flush=True,
        )
    print(table(exact, found))
    content = {"settings": settings.as_dict(), "exact": exact, "rows": found}
    with told_to_the_user():
        write_json(settings.output, content)
    print(f"Written to {settings.output}")


def plain(iterations, data, settings):
    """Returns the free energy of plain steps of the best rate."""
    import numpy as np

    import keras_fivo as kf

    update = kf.GradientUpdate(RATES[0], learned=True)
    model = model_of(kf.IterativeProposal(iterations, update), settings)
    found = {}
    for rate in RATES:
        update.log_rates.assign(np.full(2, np.log(rate), "float32"))
        found[rate] = measure(model, data)[0]
    best = min(found, key=lambda rate: found[rate][0])
    return {
        "start": measure(model, data)[1],
        "plain": found[best],
        "rate": best,
    }


def learned(name, iterations, data, settings):
    """Returns the free energy of a network after training."""
    import keras_fivo as kf
    from recipes.training.refining import UPDATES

    # Gradients of this chain are ten times as large as latents.
    update = UPDATES[name]([32, 32], normalize_inputs=False, gradient_scale=0.1)
    model = model_of(kf.IterativeProposal(iterations, update), settings)
    train = simulate(
        settings.updates * settings.batch_size, settings.seed, settings
    )
    model.fit(train, batch_size=settings.batch_size, verbose=0)
    return measure(model, data)[0]


def model_of(proposal, settings):
    """Returns the chain with a proposal, compiled."""
    import keras

    import keras_fivo as kf

    keras.utils.set_random_seed(settings.seed)
    variance = settings.observation_variance
    cell = kf.GHMMCell(emission_variance=variance, proposal=proposal)
    model = kf.LatentSequenceModel(
        cell, kf.ELBO(1, analytic_kl=True), seed=settings.seed
    )
    model.evaluation_bound = kf.ELBO(settings.particles, analytic_kl=True)
    model.build((None, None, 1))
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    return model


def measure(model, data):
    """Returns the free energy after the last refinement, and before the first.

    Returns:
        Mean and standard error over sequences, in nats per step; and the mean
        before the first refinement, if there is any.
    """
    import keras

    result = model.filter(data)
    values = -keras.ops.convert_to_numpy(result.log_evidence)
    values = values.astype("float64") / data.shape[1]
    before = None
    if result.free_energies is not None:
        energies = keras.ops.convert_to_numpy(result.free_energies)
        before = float(energies[..., 0].mean())
    error = values.std() / len(values) ** 0.5
    return [float(values.mean()), float(error)], before


def simulate(count, seed, settings):
    """Simulates sequences of the chain, `(count, num_steps, 1)`."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shape = (count, settings.num_steps, 1)
    latents = np.cumsum(generator.standard_normal(shape), axis=1)
    errors = generator.standard_normal(shape)
    noise = settings.observation_variance**0.5 * errors
    return (latents + noise).astype("float32")


def table(exact, found):
    """Returns the distances from the exact filtering posterior, as Markdown."""
    lines = [
        f"Exact filtering: {exact[0]:.4f} ± {exact[1]:.4f} nats per step.",
        "Above it, with refinements:",
        "",
        "| refinements | plain steps | their rate | highway | learned SGD |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        plain, highway, learned_sgd = (
            f"{row[name][0] - exact[0]:.3f}" for name in ("plain", *NETWORKS)
        )
        lines.append(
            f"| {row['iterations']} | {plain} | {row['rate']} | {highway} "
            f"| {learned_sgd} |"
        )
    return "\n".join(lines) + "\n"


PROGRAM = Program(
    "python -m recipes.experiments.refinements",
    "Measures what refinements of a proposal gain.",
    """\
Refines the filtering proposal of a linear Gaussian chain from the transition:
by plain gradient steps of the best fixed rate, and by trained networks that
read the gradient. Prints how far the free energy stays above that of the exact
filtering posterior; writes a JSON file.""",
    RefinementSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
