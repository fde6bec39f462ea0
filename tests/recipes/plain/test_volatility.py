"""The likelihood of stochastic volatility on a grid."""

import numpy as np
import scipy.stats

from recipes.experiments.volatility import (
    VolatilitySettings,
    log_likelihood,
    simulate,
    table,
)

SETTINGS = VolatilitySettings(series=5, num_steps=20, panels=2)
RETURNS = simulate(np.random.default_rng(0), SETTINGS)


def test_a_finer_grid_gives_the_same_likelihood():
    truth = (RETURNS, -0.5, 0.95, 0.3)
    coarse, fine = log_likelihood(*truth, 60), log_likelihood(*truth, 300)
    np.testing.assert_allclose(coarse, fine, atol=1e-3)


def test_without_volatility_of_volatility_returns_are_normal():
    found = log_likelihood(RETURNS, -0.5, 0.5, 1e-4, 60)
    exact = scipy.stats.norm.logpdf(RETURNS, 0, np.exp(-0.25)).sum()
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_the_table_holds_means_and_standard_errors():
    found = {"FIVO": [[-0.5, 0.9, 0.3], [-0.7, 0.9, 0.5]]}
    line = table(found, SETTINGS).splitlines()[-1]
    assert line == "| FIVO | -0.600 ± 0.100 | 0.900 ± 0.000 | 0.400 ± 0.100 |"
