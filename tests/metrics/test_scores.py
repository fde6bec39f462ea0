"""Scores of samples against closed forms and plain loops."""

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from keras_fivo import metrics

RANDOM = np.random.default_rng(0)


def normal_crps(x):
    """CRPS of a standard Normal; Gneiting and Raftery, 2007."""
    pdf, cdf = scipy.stats.norm.pdf(x), scipy.stats.norm.cdf(x)
    return x * (2 * cdf - 1) + 2 * pdf - 1 / np.sqrt(np.pi)


def example():
    """Observations with a gap, `(2, 3, 2)`, and 7 samples of them."""
    observed = RANDOM.normal(size=(2, 3, 2))
    observed[0, 1, 0] = np.nan
    observed[1, 2] = np.nan
    return observed, RANDOM.normal(size=(2, 7, 3, 2))


def distances(observed, samples, fair):
    """E|X - x| - E|X - X'| / 2 by two loops, of one entry or event."""
    number = len(samples)
    first = np.mean([np.linalg.norm(s - observed) for s in samples])
    second = sum(np.linalg.norm(a - b) for a in samples for b in samples)
    return first - second / 2 / (number * (number - fair))


def test_the_crps_of_a_normal_is_its_closed_form():
    points = np.array([-2.5, -0.3, 0.0, 1.7])
    # Quantiles in the place of samples: no noise but that of their number.
    grid = scipy.stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    samples = np.broadcast_to(grid, (4, 20000))
    found = metrics.crps(points, samples, fair=False)
    assert_allclose(found, normal_crps(points), atol=2e-5)


def test_the_fair_crps_has_no_bias_with_three_samples():
    points = np.repeat([0.5, 2.0], 40000)
    samples = RANDOM.normal(size=(80000, 3))
    fair = metrics.crps(points, samples).reshape(2, -1)
    biased = metrics.crps(points, samples, fair=False).reshape(2, -1)
    error = fair.std(1) / 200
    expected = normal_crps(np.array([0.5, 2.0]))
    assert (np.abs(fair.mean(1) - expected) < 4 * error).all()
    assert (biased.mean(1) - expected > 10 * error).all()


@pytest.mark.parametrize("fair", [True, False])
def test_scores_are_those_of_two_loops_and_nan_where_missing(fair):
    observed, samples = example()
    by_entry = metrics.crps(observed, samples, fair=fair)
    by_step = metrics.energy_score(observed, samples, fair=fair)
    by_path = metrics.energy_score(
        observed, samples, event_axes=(1, 2), fair=fair
    )
    assert np.array_equal(np.isnan(by_entry), np.isnan(observed))
    assert np.isnan(by_step[1, 2]) and np.isnan(by_step).sum() == 1
    for b, t, f in np.argwhere(~np.isnan(observed)):
        one = distances(observed[b, t, f], samples[b, :, t, f], fair)
        assert_allclose(by_entry[b, t, f], one)
    for b, t in ((0, 0), (0, 1), (1, 1)):
        seen = ~np.isnan(observed[b, t])
        event = samples[b, :, t][:, seen]
        one = distances(observed[b, t][seen], event, fair)
        assert_allclose(by_step[b, t], one)
    for b in range(2):
        seen = ~np.isnan(observed[b])
        one = distances(observed[b][seen], samples[b][:, seen], fair)
        assert_allclose(by_path[b], one)


def test_masks_and_lengths_say_the_same_as_nan():
    observed, samples = example()
    padded = np.where(np.isnan(observed), 7.0, observed)
    told = {
        "observations": padded,
        "mask": ~np.isnan(observed),
        "lengths": np.array([3, 2]),
    }
    for score in (metrics.crps, metrics.energy_score, metrics.coverage):
        assert_allclose(score(told, samples), score(observed, samples))
    short = {"observations": padded, "lengths": np.array([0, 2])}
    assert np.isnan(metrics.crps(short, samples)[0]).all()
    assert np.isfinite(metrics.crps(short, samples)[1, :2]).all()


def test_coverage_and_pit_of_a_calibrated_forecast():
    truth = RANDOM.normal(size=(4000, 1, 1))
    samples = RANDOM.normal(size=(4000, 99, 1, 1))
    for level in (0.5, 0.8, 0.95):
        found = metrics.coverage(truth, samples, level).mean()
        # Of 99 samples np.quantile leaves out 2 / 100 of the outside more.
        assert abs(found - level) < 4 * 0.5 / np.sqrt(4000) + 0.01
    uniforms = RANDOM.uniform(size=truth.shape)
    pit = metrics.pit_values(truth, samples, uniforms=uniforms)
    assert scipy.stats.kstest(pit.ravel(), "uniform").pvalue > 1e-3
    assert pit.min() > 0 and pit.max() < 1


def test_pit_values_of_counts_are_uniform_with_uniforms_alone():
    truth = RANDOM.poisson(1.5, size=4000)
    samples = RANDOM.poisson(1.5, size=(4000, 50))
    uniforms = RANDOM.uniform(size=4000)
    placed = metrics.pit_values(truth, samples, uniforms=uniforms)
    assert scipy.stats.kstest(placed, "uniform").pvalue > 1e-3
    assert len(np.unique(metrics.pit_values(truth[:1], samples[:1]))) == 1


def test_quantile_losses_by_hand():
    observed = np.array([[[4.0], [np.nan], [-2.0]]])
    quantiles = np.array([[[[1.0], [0.0], [0.0]]], [[[6.0], [0.0], [2.0]]]])
    losses = metrics.quantile_loss(observed, quantiles, [0.1, 0.9])
    assert_allclose(losses[:, 0, 0, 0], [0.1 * 3, 0.1 * 2])
    assert_allclose(losses[:, 0, 2, 0], [0.9 * 2, 0.1 * 4])
    assert np.isnan(losses[:, 0, 1]).all()
    found = metrics.weighted_quantile_loss(observed, quantiles, [0.1, 0.9])
    assert_allclose(found, 2 * (0.3 + 0.2 + 1.8 + 0.4) / 2 / 6)
    nothing = np.zeros((1, 3, 1))
    assert np.isnan(
        metrics.weighted_quantile_loss(nothing, quantiles, [0.1, 0.9])
    )


def test_the_error_of_the_naive_scales_each_series():
    past = np.array([[1.0, 4.0, 2.0, 8.0], [0.0, 10.0, 0.0, 99.0]])[..., None]
    inputs = {"observations": past, "lengths": np.array([4, 3])}
    assert_allclose(metrics.seasonal_error(inputs), [[11 / 3], [10.0]])
    assert_allclose(metrics.seasonal_error(inputs, 2)[:, 0], [2.5, 0.0])
    truth = np.array([[3.0, np.nan], [5.0, 7.0]])[..., None]
    found = metrics.mase(truth, np.zeros((2, 2, 1)), inputs)
    assert_allclose(found, [[3 * 3 / 11], [0.6]])
    constant = metrics.mase(truth, np.zeros((2, 2, 1)), inputs, 2)
    assert_allclose(constant[0], 3 / 2.5)
    assert np.isnan(constant[1])


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda o, s: metrics.crps(o, s[:, :, :2]), r"shape \(2, 7, 2, 2\)"),
        (lambda o, s: metrics.crps(o, s[:, :1]), r"shape \(2, 1, 3, 2\)"),
        (lambda o, s: metrics.crps(o, s, axis=9), "axis=9"),
        (lambda o, s: metrics.coverage(o, s, level=80), "level=80"),
        (
            lambda o, s: metrics.quantile_loss(o, s[:, 0], [0.5]),
            "quantiles of shape",
        ),
        (lambda o, s: metrics.mase(o, s, o), "forecasts of shape"),
        (lambda o, s: metrics.seasonal_error(o, 0), "season=0"),
        (lambda o, s: metrics.seasonal_error(o[0]), r"past of shape \(3, 2\)"),
        (
            lambda o, s: metrics.crps({"observations": o, "lengths": [3]}, s),
            "lengths of shape",
        ),
        (
            lambda o, s: metrics.crps({"observations": o, "mask": [1]}, s),
            "mask of shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        call(*example())
