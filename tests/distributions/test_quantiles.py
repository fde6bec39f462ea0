"""Quantiles and samples where float32 leaves few digits, against SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from keras import ops

import keras_fivo as kf
from tests.distributions.examples import array, tensor

LEVELS = np.float32((np.arange(2000) + 0.5) / 2000)


@pytest.mark.parametrize(
    "rate", [900, 1.2e3, 1.3e4, 1e6, 6.6e7, 2e11, 1e13, 1e15]
)
def test_poisson_samples_of_large_rates_are_those_of_scipy(rate):
    distribution = kf.Poisson(tensor(np.full(LEVELS.shape, np.log(rate))))
    got = array(distribution.sample(tensor(LEVELS)))
    rate = array(distribution.rate)[0]
    # Counts are rounded to those that float32 holds.
    unit = np.maximum(np.spacing(np.float32(got)).astype("float64"), 1)
    slack = np.where(unit > 1, unit, 0)
    assert np.all(scipy.special.pdtr(got + slack, rate) >= LEVELS - 1e-5)
    assert np.all(scipy.special.pdtr(got - 1 - slack, rate) <= LEVELS + 1e-5)
    deviation = np.sqrt(rate)
    # Of 2,000 strata the mean is exact to 1e-3, the deviation to 2e-3.
    assert abs(got.mean() - rate) < 1e-3 * deviation + unit.max() / 2
    assert abs(got.std() - deviation) < 2e-3 * deviation + unit.max() / 2


def test_the_search_and_the_series_meet():
    rates = np.float32([1000, 1100, 1112, 1250])
    levels = np.float32(np.r_[1e-7, 1e-5, np.linspace(1e-3, 0.999, 99)])
    levels = np.r_[levels, np.float32(1 - 1e-6)]
    p, log_rate = np.meshgrid(levels, np.log(rates))
    distribution = kf.Poisson(tensor(log_rate))
    got = array(distribution.quantile(tensor(p)))
    rate = array(distribution.rate)
    p = np.float32(p).astype("float64")
    # Relative to the nearer tail, and 1e-6 of rounding.
    slack = 2e-3 * np.minimum(p, 1 - p) + 1e-6 * (p > 0.01)
    assert np.all(scipy.special.pdtr(got, rate) >= p - slack)
    assert np.all(scipy.special.pdtr(got - 1, rate) <= p + slack)


@pytest.mark.parametrize(
    ("mean", "count"), [(4, 1e-3), (4, 0.05), (1e6, 1e-3), (50, 1e5)]
)
def test_negative_binomial_samples_reach_the_tail(mean, count):
    upper = np.float32(1 - np.geomspace(2.0**-24, 0.4, 60))
    lower = np.float32(np.geomspace(1e-6, 0.5, 40))
    p = np.r_[lower, upper]
    parameters = [np.full(p.shape, x) for x in (np.log(mean), count)]
    distribution = kf.NegativeBinomial(*map(tensor, parameters))
    got = array(distribution.sample(tensor(p)))
    count = float(np.float32(count))
    exact = scipy.stats.nbinom(count, count / (count + mean))
    exact = exact.ppf(p.astype("float64"))
    # One count, or the block of 1/64 over which counts are interpolated.
    assert np.all(np.abs(got - exact) <= np.maximum(1, 2e-3 * exact))
    # The mean as an integral over the levels, of which the tail is a part.
    assert np.trapezoid(got, p) == pytest.approx(
        np.trapezoid(exact, p), rel=1e-3
    )


def test_counts_at_the_ends_of_the_levels():
    ends = tensor([0.0, 1.0])
    for distribution in (
        kf.Poisson(tensor([1.0, 1.0])),
        kf.Poisson(tensor([20.0, 20.0])),
        kf.NegativeBinomial(tensor([1.0, 1.0]), tensor([0.1, 0.1])),
    ):
        assert array(distribution.quantile(ends)).tolist() == [0, np.inf]


def test_discrete_quantiles_at_the_levels_of_their_distribution():
    """The smallest value whose cumulative probability is not below."""
    quarters = kf.Categorical(ops.zeros((5, 4)))
    levels = tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    assert array(quarters.quantile(levels)).tolist() == [0, 0, 1, 2, 3]
    coin = kf.Bernoulli(ops.zeros((3,)))
    found = array(coin.quantile(tensor([0.25, 0.5, 0.75])))
    assert found.tolist() == [0, 0, 1]
    # Halves of a Normal around 1.5 are rounded to 1 and to 2.
    rounded = kf.QuantizedNormal(tensor([1.5, 0.5]), tensor([1.0, 1.0]), 1.0)
    assert array(rounded.quantile(0.5)).tolist() == [1, 0]


def test_classes_of_probability_zero_are_never_drawn():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((500, 9)).astype("float32")
    logits[:, [0, 4, 7, 8]] = -1e4
    below_one = np.nextafter(np.float32(1), np.float32(0))
    distribution = kf.Categorical(tensor(logits))
    for uniform in (0.0, below_one):
        drawn = array(distribution.sample(ops.full((500,), uniform)))
        assert set(drawn) == {1 if uniform == 0 else 6}


def test_laplace_quantiles_are_exact_in_both_tails():
    p = np.float32(np.r_[1e-30, 1e-8, 0.1, 0.5, 0.8, 1 - 6e-8])
    got = array(
        kf.Laplace(0 * tensor(p), 0 * tensor(p) + 1).quantile(tensor(p))
    )
    exact = scipy.stats.laplace.ppf(p.astype("float64"))
    np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("degrees", [0.02, 0.1, 0.3, 1.0])
def test_student_samples_of_few_degrees_are_finite_and_right(degrees):
    draws = 100_000
    noise = np.random.default_rng(3).random((draws, 2), dtype="float32")
    parameters = [np.full((draws, 1), x) for x in (degrees, 0.0, 10.0)]
    distribution = kf.StudentT(*map(tensor, parameters))
    samples = distribution.sample(tensor(noise))
    scaled = np.abs(array(samples)[:, 0]) / 10
    assert np.all(np.isfinite(scaled))
    exact = scipy.stats.t(np.float32(degrees).astype("float64"))
    for far in (0.5, 3, 1e3, 1e10, 1e20, 1e30):
        beyond = 2 * exact.sf(far)
        error = np.sqrt(beyond / draws)
        assert abs(np.mean(scaled > far) - beyond) < 5 * error + 1e-5
    got = array(distribution.entry_log_prob(samples))[:1000, 0]
    exact = exact.logpdf(array(samples)[:1000, 0] / 10) - np.log(10)
    np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-5)
