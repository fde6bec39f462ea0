import itertools

import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from tests.distributions.examples import array, tensor

ENTRIES, UNITS = 6, 9


def masked_kernels(rng, size=1.0):
    order = np.arange(ENTRIES)
    degrees = 1 + np.arange(UNITS) % (ENTRIES - 1)
    masks = {
        "input": order[:, None] < degrees,
        "output": degrees[:, None] <= order,
        "direct": order[:, None] < order,
    }
    return {
        name: np.float32(size * rng.standard_normal(mask.shape) * mask)
        for name, mask in masks.items()
    }


@pytest.fixture
def parameters():
    rng = np.random.default_rng(3)
    return {
        "logits": rng.standard_normal(ENTRIES).astype("float32"),
        "hidden": rng.standard_normal(UNITS).astype("float32"),
        "kernels": masked_kernels(rng),
    }


def make(parameters, count):
    repeated = {
        name: tensor(np.tile(parameters[name], (count, 1)))
        for name in ("logits", "hidden")
    }
    kernels = {k: tensor(v) for k, v in parameters["kernels"].items()}
    return kf.AutoregressiveBernoulli(**repeated, kernels=kernels)


def numpy_probability(parameters, before, entry):
    """P(entry is 1 | entries before), one row, one entry at a time."""
    x = np.zeros(ENTRIES)
    x[:entry] = before[:entry]
    kernels = parameters["kernels"]
    hidden = np.maximum(parameters["hidden"] + x @ kernels["input"], 0)
    logit = (
        parameters["logits"][entry]
        + hidden @ kernels["output"][:, entry]
        + x @ kernels["direct"][:, entry]
    )
    return 1 / (1 + np.exp(-logit))


def all_values():
    return np.float32(list(itertools.product([0, 1], repeat=ENTRIES)))


def test_log_prob_agrees_with_a_loop_over_the_entries(parameters):
    values = all_values()
    expected = []
    for x in values:
        p = [numpy_probability(parameters, x, d) for d in range(ENTRIES)]
        expected.append(np.sum(np.log(np.where(x > 0, p, 1 - np.array(p)))))
    got = array(make(parameters, len(values)).log_prob(tensor(values)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.exp(got).sum(), 1.0, atol=1e-5)


def test_an_entry_depends_on_those_before_it_alone(parameters):
    values = np.zeros((1, ENTRIES), "float32")
    base = array(make(parameters, 1).conditional_logits(tensor(values)))[0]
    for changed in range(ENTRIES):
        other = values.copy()
        other[0, changed] = 1.0
        logits = array(make(parameters, 1).conditional_logits(tensor(other)))
        same = logits[0] == base
        assert np.all(same[: changed + 1])
        assert not np.any(same[changed + 1 :])


def test_sampling_follows_the_same_noise_as_a_numpy_loop(parameters):
    noise = np.random.default_rng(0).random((50, ENTRIES), dtype="float32")
    expected = np.zeros((50, ENTRIES))
    for row, uniforms in zip(expected, noise, strict=True):
        for d in range(ENTRIES):
            row[d] = uniforms[d] < numpy_probability(parameters, row, d)
    got = make(parameters, 50).sample(tensor(noise))
    np.testing.assert_array_equal(array(got), expected)


def test_samples_are_as_frequent_as_they_are_probable(parameters):
    draws = 40_000
    noise = np.random.default_rng(1).random((draws, ENTRIES), dtype="float32")
    samples = array(make(parameters, draws).sample(tensor(noise)))
    codes = samples.astype(int) @ 2 ** np.arange(ENTRIES)[::-1]
    counts = np.bincount(codes, minlength=2**ENTRIES)
    values = all_values()
    p = np.exp(array(make(parameters, len(values)).log_prob(tensor(values))))
    error = np.sqrt(draws * p * (1 - p))
    assert np.all(np.abs(counts - draws * p) < 5 * error + 1)


def test_the_mode_is_greedy_and_the_mean_its_probabilities(parameters):
    distribution = make(parameters, 1)
    mode, mean = array(distribution.mode)[0], array(distribution.mean)[0]
    expected = [numpy_probability(parameters, mode, d) for d in range(ENTRIES)]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    np.testing.assert_array_equal(mode, mean > 0.5)


def test_a_mask_of_entries_is_refused(parameters):
    values = tensor(np.zeros((2, ENTRIES)))
    with pytest.raises(ValueError, match="Received: mask of shape"):
        make(parameters, 2).log_prob(values, ops.ones((2, ENTRIES), "bool"))


def test_select_joins_by_rows_and_keeps_the_kernels(parameters):
    other = {**parameters, "logits": parameters["logits"] + 1}
    first, second = make(parameters, 2), make(other, 2)
    joined = first.select(ops.convert_to_tensor([False, True]), second)
    values = tensor(all_values()[[21, 42]])
    expected = [
        array(second.log_prob(values))[0],
        array(first.log_prob(values))[1],
    ]
    np.testing.assert_array_equal(array(joined.log_prob(values)), expected)


def test_extreme_logits_are_finite(parameters):
    parameters = {**parameters, "logits": np.full(ENTRIES, 1e6, "float32")}
    values = all_values()
    got = array(make(parameters, len(values)).log_prob(tensor(values)))
    assert np.all(np.isfinite(got)) and np.all(got <= 0)
