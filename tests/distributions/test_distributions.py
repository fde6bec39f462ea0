import keras
import numpy as np
import pytest
from scipy import stats

import keras_fivo as kf
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

ROWS, SHAPE = 4, (4, 3, 2)


def tensor(x):
    return keras.ops.convert_to_tensor(np.asarray(x, "float32"))


def parameters(seed=0):
    generator = np.random.default_rng(seed)
    return generator.standard_normal(SHAPE), generator.exponential(size=SHAPE)


def normal(seed=0):
    return kf.Normal(*(tensor(x) for x in parameters(seed)))


def bernoulli(seed=0):
    return kf.Bernoulli(tensor(2 * parameters(seed)[0]))


def test_normal_log_prob_equals_scipy():
    loc, scale = parameters()
    value = np.random.default_rng(1).standard_normal(SHAPE)
    found = numpy(normal().log_prob(tensor(value)))
    entries = stats.norm.logpdf(value, loc, scale)
    assert found.shape == (ROWS,)
    np.testing.assert_allclose(found, entries.sum((1, 2)), rtol=1e-5)


def test_bernoulli_log_prob_equals_scipy():
    logits = 2 * parameters()[0]
    value = np.random.default_rng(1).integers(0, 2, SHAPE)
    found = numpy(bernoulli().log_prob(tensor(value)))
    entries = stats.bernoulli.logpmf(value, 1 / (1 + np.exp(-logits)))
    np.testing.assert_allclose(found, entries.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("make", [normal, bernoulli])
def test_a_mask_leaves_entries_out_of_the_sum(make):
    generator = np.random.default_rng(2)
    value = generator.integers(0, 2, SHAPE).astype("float32")
    mask = generator.random(SHAPE) < 0.5
    distribution = make()
    entries = numpy(distribution.entry_log_prob(tensor(value)))
    found = distribution.log_prob(
        tensor(value), keras.ops.convert_to_tensor(mask)
    )
    np.testing.assert_allclose(
        numpy(found), (entries * mask).sum((1, 2)), rtol=1e-5
    )
    none = distribution.log_prob(tensor(value), keras.ops.zeros(SHAPE, "bool"))
    np.testing.assert_array_equal(numpy(none), 0)


def test_a_row_may_be_a_single_number():
    value = kf.Normal(tensor([0, 1]), tensor([1, 2])).log_prob(tensor([0, 2]))
    expected = stats.norm.logpdf([0, 2], [0, 1], [1, 2])
    np.testing.assert_allclose(numpy(value), expected, rtol=1e-6)


def test_normal_samples_have_its_moments():
    runs, loc, scale = 40000, 1.5, 0.3
    noise = np.random.default_rng(3).standard_normal((runs, 1))
    distribution = kf.Normal(tensor([[loc]]), tensor([[scale]]))
    found = numpy(distribution.sample(tensor(noise)))
    assert found.mean() == pytest.approx(loc, abs=5 * scale / runs**0.5)
    assert found.std() == pytest.approx(scale, rel=5 / (2 * runs) ** 0.5)
    assert numpy(distribution.mean) == pytest.approx(loc)
    assert numpy(distribution.mode) == pytest.approx(loc)
    assert distribution.noise == "normal"


def test_bernoulli_samples_have_its_mean():
    runs, probability = 40000, 0.2
    noise = np.random.default_rng(3).random((runs, 1))
    logit = np.log(probability / (1 - probability))
    distribution = kf.Bernoulli(tensor([[logit]]))
    found = numpy(distribution.sample(tensor(noise)))
    assert set(np.unique(found)) == {0, 1}
    error = (probability * (1 - probability) / runs) ** 0.5
    assert found.mean() == pytest.approx(probability, abs=5 * error)
    assert numpy(distribution.mean) == pytest.approx(probability)
    modes = kf.Bernoulli(tensor([[-1, 1, 3]])).mode
    assert numpy(modes).tolist() == [[0, 1, 1]]
    assert distribution.noise == "uniform"


def test_impossible_outcomes_are_never_sampled():
    certain = kf.Bernoulli(tensor([[-200, 200, -200, 200]]))
    just_below_one = 1 - 2.0**-24
    noise = tensor([[0, 0, just_below_one, just_below_one]])
    assert numpy(certain.sample(noise)).tolist() == [[0, 1, 0, 1]]


@pytest.mark.parametrize("make", [normal, bernoulli])
def test_sample_and_log_prob_agree_with_each_alone(make):
    noise = np.random.default_rng(4).random(SHAPE)
    distribution = make()
    value, log_prob = distribution.sample_and_log_prob(tensor(noise))
    np.testing.assert_array_equal(
        numpy(value), numpy(distribution.sample(tensor(noise)))
    )
    np.testing.assert_allclose(
        numpy(log_prob), numpy(distribution.log_prob(value)), rtol=1e-4
    )


def test_normal_is_finite_at_extreme_parameters():
    scale = np.array([[1e-6, 1e-3, 1e3, 1e15]])
    value = np.array([[1e3, -1e6, 1e6, 1e9]])
    variables = [
        keras.Variable(x.astype("float32")) for x in (0 * scale, scale)
    ]

    def log_prob():
        distribution = kf.Normal(variables[0].value, variables[1].value)
        return keras.ops.sum(distribution.log_prob(tensor(value)))

    expected = stats.norm.logpdf(value, 0, scale).sum()
    np.testing.assert_allclose(numpy(log_prob()), expected, rtol=1e-5)
    assert all(np.isfinite(g).all() for g in gradients(log_prob, variables))


def test_bernoulli_is_finite_at_extreme_parameters():
    logits = keras.Variable(np.array([[-1e4, -90, 0, 90, 1e4]], "float32"))

    def log_prob(value):
        return kf.Bernoulli(logits.value).log_prob(tensor([value] * 5)[None])

    expected = -np.array([1e4 + 90 + np.log(2)])
    np.testing.assert_allclose(numpy(log_prob(1.0)), expected, rtol=1e-6)
    np.testing.assert_allclose(numpy(log_prob(0.0)), expected, rtol=1e-6)
    (found,) = gradients(lambda: keras.ops.sum(log_prob(1.0)), [logits])
    np.testing.assert_allclose(found, [[1, 1, 0.5, 0, 0]], atol=1e-6)


def test_kl_is_the_mean_difference_of_log_probs():
    first, second = normal(0), normal(5)
    found = numpy(first.kl(second))
    assert found.shape == (ROWS,)
    np.testing.assert_allclose(numpy(first.kl(first)), 0, atol=1e-6)
    # E[f] of a quadratic f: Gauss-Hermite quadrature is exact.
    points, weights = np.polynomial.hermite_e.hermegauss(5)
    expected = 0
    for point, weight in zip(points, weights / weights.sum(), strict=True):
        value = first.sample(tensor(np.full(SHAPE, point)))
        difference = first.log_prob(value) - second.log_prob(value)
        expected = expected + weight * numpy(difference)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_distributions_are_joined_by_rows():
    first, second = normal(0), normal(5)
    rows = np.array([True, False, False, True])
    joined = first.select(keras.ops.convert_to_tensor(rows), second)
    for name in ("loc", "scale"):
        expected = np.where(
            rows[:, None, None],
            numpy(getattr(first, name)),
            numpy(getattr(second, name)),
        )
        np.testing.assert_array_equal(numpy(getattr(joined, name)), expected)
    with pytest.raises(TypeError, match=r"Received: other=.*Bernoulli"):
        first.select(keras.ops.convert_to_tensor(rows), bernoulli())
