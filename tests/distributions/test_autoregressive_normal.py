import numpy as np
import pytest
import scipy.signal
import scipy.stats
from keras import ops

import keras_fivo as kf
from keras_fivo.distributions.autoregressive_normal import (
    prediction_coefficients,
)
from tests.distributions.examples import array, tensor

ROWS, ENTRIES = 3, 7


@pytest.fixture(params=[1, 3, 9])
def parameters(request):
    """Of an order below, and above, the number of entries."""
    rng = np.random.default_rng(4)
    reflections = rng.uniform(-0.9, 0.9, (ROWS, request.param))
    return {
        "loc": np.float32(rng.normal(size=(ROWS, ENTRIES))),
        "scale": np.float32(rng.uniform(0.3, 2.0, (ROWS, ENTRIES))),
        "reflections": np.float32(reflections),
    }


def make(parameters):
    tensors = {name: tensor(x) for name, x in parameters.items()}
    return kf.AutoregressiveNormal(**tensors)


def filter_of(parameters, row):
    """The polynomial that makes innovations of a row."""
    reflections = tensor(parameters["reflections"][row : row + 1])
    return np.r_[1.0, -array(prediction_coefficients(reflections))[0]]


def covariance(parameters, row):
    """Of the entries of a row, by the response to each noise alone."""
    driven = np.diag(parameters["scale"][row].astype("float64"))
    response = scipy.signal.lfilter(
        [1.0], filter_of(parameters, row), driven, axis=0
    )
    return response @ response.T


def test_log_prob_is_that_of_a_multivariate_normal(parameters):
    values = np.random.default_rng(0).normal(size=(ROWS, ENTRIES))
    expected = [
        scipy.stats.multivariate_normal(
            parameters["loc"][i], covariance(parameters, i)
        ).logpdf(values[i])
        for i in range(ROWS)
    ]
    found = array(make(parameters).log_prob(tensor(values)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_sampling_filters_the_noise(parameters):
    noise = np.random.default_rng(1).normal(size=(ROWS, ENTRIES))
    driven = parameters["scale"] * noise
    expected = parameters["loc"] + [
        scipy.signal.lfilter([1.0], filter_of(parameters, i), driven[i])
        for i in range(ROWS)
    ]
    distribution = make(parameters)
    found = distribution.sample(tensor(noise))
    np.testing.assert_allclose(array(found), expected, rtol=1e-4, atol=1e-4)
    innovations = array(distribution.innovations(found))
    np.testing.assert_allclose(innovations, driven, rtol=1e-3, atol=1e-3)


def test_marginal_scales_are_those_of_the_covariance(parameters):
    distribution = make(parameters)
    expected = np.sqrt(
        [np.diag(covariance(parameters, i)) for i in range(ROWS)]
    )
    found = array(distribution.marginal.scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    upper = array(distribution.quantile(0.9))
    wanted = parameters["loc"] + expected * scipy.stats.norm.ppf(0.9)
    np.testing.assert_allclose(upper, wanted, rtol=1e-3, atol=1e-3)


def test_reflections_of_zero_leave_independent_entries(parameters):
    zeros = np.zeros_like(parameters["reflections"])
    values = tensor(np.random.default_rng(2).normal(size=(ROWS, ENTRIES)))
    found = make({**parameters, "reflections": zeros}).log_prob(values)
    normal = kf.Normal(tensor(parameters["loc"]), tensor(parameters["scale"]))
    np.testing.assert_allclose(
        array(found), array(normal.log_prob(values)), rtol=1e-6
    )


def test_any_reflection_coefficients_make_a_stable_process():
    reflections = np.random.default_rng(5).uniform(-0.8, 0.8, (200, 16))
    coefficients = array(prediction_coefficients(tensor(reflections)))
    for a in coefficients:
        assert np.max(np.abs(np.roots(np.r_[1.0, -a]))) < 1.0


def test_reflection_coefficients_are_partial_correlations():
    reflections = np.float32([[0.8, -0.5]])
    # Yule-Walker, order 2: a_1 = k_1 (1 - k_2), a_2 = k_2.
    found = array(prediction_coefficients(tensor(reflections)))
    np.testing.assert_allclose(found, [[1.2, -0.5]], rtol=1e-6)


def test_a_mask_of_entries_is_refused(parameters):
    values = tensor(np.zeros((ROWS, ENTRIES)))
    with pytest.raises(ValueError, match="Received: mask of shape"):
        make(parameters).log_prob(values, ops.ones((ROWS, ENTRIES), "bool"))
