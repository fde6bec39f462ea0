import keras
import numpy as np
import pytest
from scipy.special import logsumexp

from keras_fivo.smc import (
    effective_sample_size,
    log_mean_exp,
    log_sum_exp,
    normalize_weights,
)
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

INF = np.inf
ROWS = np.array(
    [
        [0.0, 0.0, 0.0],
        [-3.0, 1.0, 0.5],
        [-INF, 2.0, -INF],
        [-1000.0, -1001.0, -1002.0],
        [1e4, 1e4 - 1, -1e4],
        [-INF, -INF, -INF],
    ],
    "float32",
)


def test_log_sum_exp_equals_scipy():
    expected = logsumexp(ROWS.astype("float64"), axis=-1)
    found = numpy(log_sum_exp(keras.ops.convert_to_tensor(ROWS)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = numpy(log_mean_exp(keras.ops.convert_to_tensor(ROWS)))
    np.testing.assert_allclose(found, expected - np.log(3), rtol=1e-6)
    assert found[-1] == -INF


@pytest.mark.parametrize("shape", [(1,), (2, 5), (2, 3, 4)])
def test_any_number_of_axes_may_come_before_the_particles(shape):
    values = np.random.default_rng(0).standard_normal(shape).astype("float32")
    found = numpy(log_mean_exp(keras.ops.convert_to_tensor(values)))
    assert found.shape == shape[:-1]
    np.testing.assert_allclose(
        found, np.log(np.exp(values).mean(-1)), rtol=1e-5, atol=1e-6
    )


def test_the_gradient_is_the_normalized_weights_and_never_nan():
    variable = keras.Variable(ROWS)
    (found,) = gradients(
        lambda: keras.ops.sum(log_mean_exp(variable.value)), [variable]
    )
    weights = np.exp(ROWS[:5].astype("float64") - ROWS[:5].max(-1)[:, None])
    expected = weights / weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(found[:5], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found[5], 0)


@pytest.mark.parametrize("others", [0.0, -INF, INF])
def test_nan_is_not_taken_for_a_weight_of_zero(others):
    rows = np.full((3, 3), others, "float32")
    rows[[0, 1, 2], [0, 1, 2]] = np.nan
    for function in (log_sum_exp, log_mean_exp, effective_sample_size):
        found = numpy(function(keras.ops.convert_to_tensor(rows)))
        assert np.isnan(found).all(), function.__name__


def test_normalized_weights_sum_to_one_or_are_all_zero():
    found = numpy(normalize_weights(keras.ops.convert_to_tensor(ROWS)))
    np.testing.assert_allclose(found.sum(-1), [1, 1, 1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(found[2], [0, 1, 0])


def test_the_effective_sample_size_counts_equal_weights():
    found = numpy(effective_sample_size(keras.ops.convert_to_tensor(ROWS)))
    weights = np.exp(ROWS[:5] - ROWS[:5].max(-1, keepdims=True))
    expected = weights.sum(-1) ** 2 / (weights**2).sum(-1)
    np.testing.assert_allclose(found[:5], expected, rtol=1e-6)
    assert found[0] == pytest.approx(3)
    assert found[2] == 1
    assert found[5] == 0
