"""What a bound finds: `python -m recipes.experiments.volatility`."""

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

NAMES = ("mu", "phi", "sigma")


class VolatilitySettings(Settings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Measurement"
    mu: float = -0.5
    """Mean of the log variance."""
    phi: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Persistence of the log variance."""
    sigma: PositiveFloat = 0.3
    """Standard deviation of its steps."""
    panels: Annotated[int, Field(ge=2)] = 4
    """Number of simulated panels, which the standard errors are over."""
    series: Positive = 100
    """Number of series of a panel."""
    num_steps: Positive = 200
    """Number of steps of a series."""
    num_particles: Positive = 64
    """Number of particles in training."""
    updates: Positive = 400
    """Number of updates."""
    batch_size: Positive = 20
    """Number of series in a batch."""
    learning_rate: PositiveFloat = 2e-2
    """Learning rate of Adam at first; it falls to zero as a cosine."""
    grid: Annotated[int, Field(ge=20)] = 120
    """Number of points of the grid that the likelihood is computed on."""
    seed: Natural = 0
    """Seed of the data, the weights and the noise."""
    output: FilePath = "runs/volatility.json"
    """JSON file to write."""


def run(settings: VolatilitySettings) -> None:
    """Estimates the parameters of each panel; prints a table."""
    import numpy as np

    from recipes.training.run_folder import write_json

    found: dict[str, list] = {"maximum likelihood": [], "FIVO": [], "IWAE": []}
    for panel in range(settings.panels):
        generator = np.random.default_rng([settings.seed, panel])
        returns = simulate(generator, settings)
        for name, values in found.items():
            start = time.monotonic()
            if name == "maximum likelihood":
                values.append(most_likely(returns, settings))
            else:
                values.append(trained(name, returns, settings, panel))
            numbers = ", ".join(f"{x:.3f}" for x in values[-1])
            print(
                f"panel {panel}, {name}: {numbers}; "
                f"{time.monotonic() - start:.0f} s",
                flush=True,
            )
    print(table(found, settings))
    content = {"settings": settings.as_dict(), "estimates": found}
    with told_to_the_user():
        write_json(settings.output, content)
    print(f"Written to {settings.output}")


def simulate(generator, settings):
    """Simulates returns of the model, float32 `(series, steps, 1)`."""
    import numpy as np

    mu, phi, sigma = settings.mu, settings.phi, settings.sigma
    count, found = settings.series, []
    latent = mu + sigma / np.sqrt(1 - phi**2) * generator.normal(size=count)
    for _ in range(settings.num_steps):
        found.append(np.exp(latent / 2) * generator.normal(size=count))
        latent = mu + phi * (latent - mu) + sigma * generator.normal(size=count)
    return np.stack(found, 1)[..., None].astype("float32")


def trained(name, returns, settings, panel):
    """Returns the parameters that training with a bound ends at."""
    import keras

    import keras_fivo as kf

    keras.utils.set_random_seed(settings.seed + panel)
    cell = kf.StochasticVolatilityCell()
    bound = getattr(kf, name)(settings.num_particles)
    model = kf.LatentSequenceModel(cell, bound, seed=settings.seed + panel)
    model.adapt(returns)
    # The mean of the returns is zero, as the likelihood below knows.
    cell.center.assign([0.0])
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.updates
    )
    model.compile(keras.optimizers.Adam(rate))
    per_epoch = -(-len(returns) // settings.batch_size)
    epochs = -(-settings.updates // per_epoch)
    model.fit(returns, batch_size=settings.batch_size, epochs=epochs, verbose=0)
    return [float(cell.parameters()[k][0]) for k in NAMES]


def most_likely(returns, settings):
    """Finds the parameters of greatest likelihood, by sums over a grid."""
    import numpy as np
    import scipy.optimize

    def loss(values):
        mu, logit, log_sigma = values
        phi, sigma = 1 / (1 + np.exp(-logit)), np.exp(log_sigma)
        return -log_likelihood(returns, mu, phi, sigma, settings.grid)

    start = [np.log(returns.var()), 2.5, -1.0]
    best = scipy.optimize.minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={"fatol": 1e-2, "xatol": 1e-3},
    )
    mu, logit, log_sigma = best.x
    return [
        float(mu),
        float(1 / (1 + np.exp(-logit))),
        float(np.exp(log_sigma)),
    ]


def log_likelihood(returns, mu, phi, sigma, points):
    """Returns the log density of returns, by sums over a grid of latents.

    Args:
        returns: `(series, steps, 1)`.
        mu: Mean of the log variance.
        phi: Its persistence.
        sigma: Standard deviation of its steps.
        points: Number of points of the grid.
    """
    import numpy as np

    wide = sigma / np.sqrt(1 - phi**2)
    grid = np.linspace(mu - 5 * wide, mu + 5 * wide, points)
    width = grid[1] - grid[0]

    def normal(x, loc, scale):
        # Divided by its sum: a step narrower than the grid stays a law.
        found = np.exp(-0.5 * ((x - loc) / scale) ** 2)
        return found / found.sum(-1, keepdims=True)

    ways = normal(grid, mu + phi * (grid[:, None] - mu), max(sigma, width / 2))
    belief = np.tile(normal(grid, mu, wide), (len(returns), 1))
    variance, total = np.exp(grid), 0.0
    for x in returns[:, :, 0].T.astype("float64"):
        seen = np.exp(-0.5 * x[:, None] ** 2 / variance)
        belief = belief * seen / np.sqrt(2 * np.pi * variance)
        evidence = belief.sum(1, keepdims=True)
        total += np.log(evidence).sum()
        belief = belief / evidence @ ways
    return float(total)


def table(found, settings):
    """Returns means and standard errors over panels, as Markdown."""
    import numpy as np

    lines = [
        f"| {settings.panels} panels | mu | phi | sigma |",
        "|---|---:|---:|---:|",
        "| truth | "
        + " | ".join(f"{getattr(settings, name):.3f}" for name in NAMES)
        + " |",
    ]
    for name, values in found.items():
        mean = np.mean(values, 0)
        error = np.std(values, 0, ddof=1) / len(values) ** 0.5
        cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


PROGRAM = Program(
    "python -m recipes.experiments.volatility",
    "Recovers the parameters of simulated stochastic volatility.",
    """\
Simulates panels of returns whose log variance is a latent chain, and estimates
its parameters by maximum likelihood, computed on a grid, and by training with
FIVO and with IWAE. Prints means and standard errors over the panels, and writes
a JSON file.""",
    VolatilitySettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
