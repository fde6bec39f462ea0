import keras
import numpy as np
import pytest
import scipy.special
from keras import ops

from keras_fivo.distributions import special
from tests.reference.gradients import gradients


def run(function, *arguments):
    tensors = [
        ops.convert_to_tensor(np.asarray(x, "float32")) for x in arguments
    ]
    return ops.convert_to_numpy(function(*tensors)).astype("float64")


WIDE = np.geomspace(1e-3, 1e7, 500).astype("float32")


def test_log_gamma_agrees_with_scipy():
    expected = scipy.special.gammaln(WIDE.astype("float64"))
    np.testing.assert_allclose(
        run(special.log_gamma, WIDE), expected, rtol=1e-6, atol=1e-6
    )


def test_the_slope_of_log_gamma_is_the_digamma_function():
    x = np.geomspace(0.05, 1e3, 60)
    width = 0.02 * x
    slope = (
        run(special.log_gamma, x + width) - run(special.log_gamma, x - width)
    ) / ((x + width).astype("float32") - (x - width).astype("float32"))
    expected = scipy.special.digamma(x)
    # The third derivative of log gamma is below 2 / x^3 + 1 / x^2.
    curvature = width**2 / 6 * (2 / x**3 + 1 / x**2)
    # Of each of both values, 1e-6 relative to it.
    noise = 2e-6 * (1 + np.abs(scipy.special.gammaln(x))) / (2 * width)
    assert np.all(np.abs(slope - expected) < 1.1 * curvature + noise)


def test_a_half_step_of_log_gamma_does_not_cancel():
    x = WIDE.astype("float64")
    # Tricomi and Erdelyi's series, and SciPy where it does not cancel.
    series = 0.5 * np.log(x) - 1 / (8 * x) + 1 / (192 * x**3)
    exact = scipy.special.gammaln(x + 0.5) - scipy.special.gammaln(x)
    np.testing.assert_allclose(
        run(special.log_gamma_half_step, WIDE),
        np.where(x > 100, series, exact),
        rtol=1e-6,
        atol=2e-6,
    )


def test_the_mills_ratio_agrees_with_scipy_far_into_the_tail():
    x = np.float32(np.r_[0.0, np.geomspace(1e-3, 1e4, 500)])
    exact = np.log(
        np.sqrt(np.pi / 2)
        * scipy.special.erfcx(x.astype("float64") / np.sqrt(2))
    )
    got = run(special.log_mills_ratio, x)
    np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-6)


# Levels in float32, from either end of what it holds.
LEVELS = np.float32(
    np.r_[np.geomspace(1e-37, 0.5, 200), 1 - np.geomspace(6e-8, 0.5, 100)]
)


def test_the_normal_quantile_is_exact_in_both_tails():
    exact = scipy.special.ndtri(LEVELS.astype("float64"))
    np.testing.assert_allclose(
        run(special.normal_quantile, LEVELS), exact, rtol=1e-6, atol=1e-7
    )
    assert run(special.normal_quantile, [0, 1]).tolist() == [-np.inf, np.inf]


def test_the_normal_cdf_is_exact_in_the_lower_tail():
    x = np.linspace(-9, 6, 301).astype("float32")
    exact = scipy.special.ndtr(x.astype("float64"))
    # Rounding of x by 2^-24 moves the logarithm by up to x^2 times that.
    np.testing.assert_allclose(run(special.normal_cdf, x), exact, rtol=1e-5)


def test_slopes_of_the_normal_quantile_are_finite_and_right():
    levels = np.float32([1e-30, 1e-8, 0.02, 0.5, 0.9, 1 - 1e-6])
    variable = keras.Variable(levels)
    (found,) = gradients(
        lambda: ops.sum(special.normal_quantile(variable.value)), [variable]
    )
    normal = scipy.special.ndtri(levels.astype("float64"))
    slope = np.sqrt(2 * np.pi) * np.exp(normal**2 / 2)
    np.testing.assert_allclose(found, slope, rtol=1e-4)


@pytest.mark.parametrize("expected", [1e-8, 0.3, 7.0, 1e6])
def test_the_deviance_is_exact_near_and_far(expected):
    expected = np.float64(np.float32(expected))
    near = expected * np.linspace(0.8, 1.25, 41)
    count = np.float32(np.r_[0.0, 1.0, 10.0, 1e4, near]).astype("float64")
    exact = scipy.special.xlogy(count, count / expected) + expected - count
    # The exact expression cancels in float64, too: relative to its terms.
    slack = 1e-14 * (count + expected)
    got = run(special.deviance, count, np.full_like(count, expected))
    assert np.all(got >= 0)
    assert np.all(np.abs(got - exact) <= 6e-6 * exact + slack)


def test_hyperbolic_helpers_join_their_two_forms():
    x = np.float32(np.r_[0.0, np.geomspace(1e-3, 80, 300), 0.4999, 0.5001])
    y = np.maximum(x.astype("float64"), 1e-9)
    exact = y + np.log1p(-np.exp(-2 * y)) - np.log(2 * y)
    exact = np.where(y < 1e-2, y**2 / 6, exact)
    np.testing.assert_allclose(
        run(special.log_sinh_ratio, x), exact, rtol=1e-5, atol=1e-7
    )
    exact = np.where(y < 1e-2, 1 / 3 - y**2 / 45, (y / np.tanh(y) - 1) / y**2)
    np.testing.assert_allclose(run(special.coth_remainder, x), exact, rtol=2e-6)
