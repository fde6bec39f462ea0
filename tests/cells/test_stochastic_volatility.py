"""Returns whose variance is a latent walk."""

import numpy as np
import pytest
import scipy.stats

import keras_fivo as kf
from keras_fivo.testing import check_cell
from tests.reference.examples import numpy

RNG = np.random.default_rng(0)


def simulated(series, steps, mu=-0.5, phi=0.95, sigma=0.3, seed=0):
    """Returns of the model, `(series, steps, 1)`."""
    random = np.random.default_rng(seed)
    latent = mu + sigma / np.sqrt(1 - phi**2) * random.normal(size=series)
    found = []
    for _ in range(steps):
        found.append(np.exp(latent / 2) * random.normal(size=series))
        latent = mu + phi * (latent - mu) + sigma * random.normal(size=series)
    return np.stack(found, 1)[..., None].astype("float32")


@pytest.mark.one_backend
def test_the_cell_holds_to_the_contract():
    observations = RNG.standard_normal((2, 5, 2))
    cell = kf.StochasticVolatilityCell(2, proposal="filtering")
    check_cell(cell, observations)


def test_the_bound_is_that_of_an_integral_over_two_steps():
    """Two steps of one series, by quadrature over both latents."""
    cell = kf.StochasticVolatilityCell(phi=0.8, sigma=0.5)
    cell.build((None, None, 1))
    cell.adapt(np.array([0.25]), np.array([0.5]))
    x = np.float32([[[1.0], [-0.5]]])
    grid = np.linspace(-9.0, 6.0, 601)
    mu = 2 * np.log(0.5)
    first = scipy.stats.norm.pdf(grid, mu, 0.5 / 0.6)
    ways = scipy.stats.norm.pdf(
        grid[None], mu + 0.8 * (grid[:, None] - mu), 0.5
    )
    seen = [
        scipy.stats.norm.pdf(value, 0.25, np.exp(grid / 2))
        for value in x[0, :, 0]
    ]
    width = grid[1] - grid[0]
    exact = np.log((first * seen[0]) @ ways @ seen[1] * width**2)
    result = kf.FIVO(5000)(cell, x, seed=0)
    # Twice the standard deviation of the estimate, by its sample size.
    assert numpy(result.log_evidence)[0] == pytest.approx(exact, abs=0.03)


def test_paths_are_sampled_backwards_and_a_forecast_widens():
    cell = kf.StochasticVolatilityCell()
    model = kf.LatentSequenceModel(cell, kf.FIVO(32), seed=0)
    returns = 0.01 * simulated(2, 12)
    model.adapt(returns)
    start = cell.parameters()
    np.testing.assert_allclose(start["mu"], 2 * np.log(returns.std()), 1e-4)
    np.testing.assert_allclose(start["phi"], 0.9, 1e-5)
    np.testing.assert_allclose(start["sigma"], 0.3, 1e-5)
    smoothed = model.smooth(returns, "backward", num_samples=20, seed=0)
    means = numpy(smoothed.means)
    assert means.shape == (2, 12, 1) and np.all(np.isfinite(means))
    forecast = model.forecast(returns, 4, num_samples=300, seed=0)
    samples = numpy(forecast.samples)
    assert 0.002 < samples.std() < 0.1


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"phi": 1.0}, "phi=1.0"),
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"num_features": 0}, "num_features=0"),
    ],
)
def test_what_cannot_be_is_refused(options, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        kf.StochasticVolatilityCell(**options)


def test_controls_that_would_go_unread_are_refused():
    shapes = {"observations": (2, 5, 1), "controls": (2, 5, 3)}
    with pytest.raises(ValueError, match="Received: data with 3 controls"):
        kf.StochasticVolatilityCell().build(shapes)
