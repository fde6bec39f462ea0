import keras
import numpy as np
import pytest
import scipy.stats
from keras import ops

import keras_fivo as kf
from tests.distributions.examples import EXAMPLES, array, tensor
from tests.reference.gradients import gradients

DRAWS = 10_000
named = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)

EXTREMES = {
    "normal": {"loc": [0, 1e6, -1e6], "scale": [1e-6, 1e6, 1.0]},
    "laplace": {"loc": [0, 1e6, -1e6], "scale": [1e-6, 1e6, 1.0]},
    "student_t": {
        "degrees": [1e-2, 1e8, 3.0],
        "loc": [0, 1e6, -1e6],
        "scale": [1e-6, 1e6, 1.0],
    },
    "quantized_normal": {"loc": [0, 1e6, -1e6], "scale": [1e-6, 1e6, 1.0]},
    "normal_mixture": {
        "logits": [[-1e4, 1e4], [0, 0], [80, -80]],
        "loc": [[0, 1e5], [1e5, -1e5], [0, 0]],
        "scale": [[1e-5, 1e5], [1, 1], [1e-6, 1]],
    },
    "discretized_logistic_mixture": {
        "logits": [[-1e4, 1e4], [0, 0], [80, -80]],
        "loc": [[0, 1e5], [1e5, -1e5], [0, 0]],
        "scale": [[1e-5, 1e5], [1, 1], [1e-5, 1]],
    },
    "bernoulli": {"logits": [-1e4, 1e4, 0]},
    "categorical": {"logits": [[-1e4, 1e4], [0, 0], [1e4, -1e4]]},
    "poisson": {"log_rate": [-1e4, 1e4, 0]},
    "negative_binomial": {
        "log_mean": [-1e4, 1e4, 0],
        "total_count": [1e-3, 1e6, 1e9],
    },
}
EXTREME_VALUES = {
    "bernoulli": [0, 1],
    "categorical": [0, 1],
    "poisson": [0, 1, 1e6],
    "negative_binomial": [0, 1, 1e6],
}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_each_class_has_an_example():
    classes = {example.cls for example in EXAMPLES.values()}
    assert len(classes) == len(EXAMPLES) == len(EXTREMES) == 10


@named
def test_log_prob_agrees_with_scipy(example):
    got = example.make(len(example.values)).entry_log_prob(
        tensor(example.values)
    )
    np.testing.assert_allclose(
        array(got), example.log_prob(example.values), rtol=2e-5, atol=2e-5
    )


@named
def test_a_row_is_the_sum_of_its_entries_that_are_observed(example, rng):
    values = example.values
    distribution = example.make(len(values))
    entries = array(distribution.entry_log_prob(tensor(values)))
    mask = rng.random(values.shape) < 0.5
    np.testing.assert_allclose(
        array(distribution.log_prob(tensor(values))),
        entries.sum(-1),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        array(
            distribution.log_prob(tensor(values), ops.convert_to_tensor(mask))
        ),
        np.where(mask, entries, 0).sum(-1),
        rtol=1e-5,
    )


def draw(example, rng, draws=DRAWS):
    shape = (draws, *example.cls.noise_shape(example.entries))
    noise = getattr(
        rng,
        {"normal": "standard_normal", "uniform": "random"}[example.cls.noise],
    )(shape, dtype="float32")
    return example.make(draws).sample(tensor(noise))


@pytest.mark.one_backend
@named
def test_samples_have_the_moments_of_the_distribution(example, rng):
    samples = array(draw(example, rng))
    assert samples.shape == (DRAWS, example.entries)
    error = np.sqrt(example.variance / DRAWS)
    assert np.all(np.abs(samples.mean(0) - example.mean) < 5 * error + 1e-6)
    squares = (samples - example.mean) ** 2
    # The standard error of the variance, from the sample itself; a
    # probability of 1e-3 leaves about ten events.
    error = squares.std(0) / np.sqrt(DRAWS)
    assert np.all(np.abs(squares.mean(0) - example.variance) < 6 * error + 1e-6)


@named
def test_samples_lie_in_the_support(example, rng):
    samples = draw(example, rng, 1000)
    log_probs = array(example.make(1000).entry_log_prob(samples))
    assert np.all(np.isfinite(log_probs))
    if example.cls.__name__ in ("Poisson", "NegativeBinomial", "Categorical"):
        assert np.all(array(samples) == np.round(array(samples)))


@named
def test_the_extreme_noise_gives_finite_samples(example):
    if example.cls.noise == "normal":
        pytest.skip("Normal noise has no ends.")
    below = np.nextafter(np.float32(1), np.float32(0))
    noise = np.full(example.cls.noise_shape(example.entries), below)
    noise = tensor(np.stack([np.zeros_like(noise), noise]))
    assert np.all(np.isfinite(array(example.make(2).sample(noise))))


@named
def test_the_mean_agrees_with_scipy(example):
    got = array(example.make(1).mean)[0]
    slack = 1e-5 * np.abs(example.mean) + 1e-6
    if "width" in example.constants:
        slack = 0.5 * example.constants["width"]
    if "num_bins" in example.constants:
        slack = 0.25
    assert np.all(np.abs(got - example.mean) <= slack)


@named
def test_nothing_is_more_probable_than_the_mode(example):
    count = len(example.values)
    distribution = example.make(count)
    at_mode = array(distribution.entry_log_prob(distribution.mode))
    elsewhere = array(distribution.entry_log_prob(tensor(example.values)))
    assert np.all(elsewhere <= at_mode + 1e-3)


@named
def test_quantiles_invert_the_distribution_function(example):
    if not hasattr(example.frozen, "cdf"):
        pytest.skip("no distribution function to compare with")
    for p in (0.02, 0.5, 0.9, 0.999):
        try:
            got = array(example.make(1).quantile(p))[0]
        except NotImplementedError as error:
            assert "no quantile" in str(error)
            return
        assert np.all(example.frozen.cdf(got) >= p - 2e-5)
        if hasattr(example.frozen, "logpmf"):
            assert np.all(example.frozen.cdf(got - 1) <= p + 2e-5)
        else:
            assert np.all(example.frozen.cdf(got) <= p + 2e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_log_prob_and_its_gradient_are_finite_at_extremes(name):
    example = EXAMPLES[name]
    parameters = {
        key: keras.Variable(np.float32([value]))
        for key, value in EXTREMES[name].items()
    }
    for value in EXTREME_VALUES.get(name, [0.0, 1.0, -1.0, 1e6, -1e6]):

        def log_prob(value=value):
            distribution = example.cls(
                **{key: v.value for key, v in parameters.items()},
                **example.constants,
            )
            values = ops.full((1, 3), float(value))
            return ops.sum(distribution.entry_log_prob(values))

        assert np.isfinite(array(log_prob()))
        for slope in gradients(log_prob, list(parameters.values())):
            assert np.all(np.isfinite(slope))


@named
def test_select_joins_by_rows(example):
    other = {key: value + 0.25 for key, value in example.parameters.items()}
    values = tensor(example.values[:2])
    second = example.cls(
        **{k: tensor(np.stack([v, v])) for k, v in other.items()},
        **example.constants,
    )
    first = example.make(2)
    joined = first.select(ops.convert_to_tensor([True, False]), second)
    np.testing.assert_array_equal(
        array(joined.entry_log_prob(values)),
        np.stack(
            [
                array(first.entry_log_prob(values))[0],
                array(second.entry_log_prob(values))[1],
            ]
        ),
    )


def test_the_rounded_normal_neither_cancels_nor_jumps():
    # Scales from far wider than the window to far narrower; distances from
    # the centre to 30 standard deviations. The sum over a fine partition of
    # the window is exact to 1e-7, being all of one sign.
    windows = np.geomspace(1e-5, 50, 60)
    distances = np.r_[0.0, np.geomspace(1e-3, 30, 40)]
    window, distance = np.meshgrid(windows, distances)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-0.5, 0.5, 401)
    middles, half = (edges[1:] + edges[:-1]) / 2, 0.5 / 400
    t = (middles[:, None] + half * nodes).ravel()
    exponent = -0.5 * (distance[..., None] + window[..., None] * t) ** 2
    largest = exponent.max(-1)
    share = np.exp(exponent - largest[..., None]) @ (
        np.tile(weights, 400) * half
    )
    exact = largest + np.log(share) + np.log(window) - 0.5 * np.log(2 * np.pi)
    # With a window of 1 in the units of the data, the scale is 1 / window.
    got = kf.QuantizedNormal(
        ops.zeros(window.shape), tensor(1 / window), width=1.0
    ).entry_log_prob(tensor(distance / window))
    np.testing.assert_allclose(array(got), exact, rtol=3e-6, atol=5e-6)


def test_rounded_normals_of_the_whole_grid_sum_to_one():
    grid = tensor(np.arange(-200, 201)[:, None] * 0.5 + 0.1)
    distribution = kf.QuantizedNormal(
        tensor([[0.37, -1.2, 2.0]]), tensor([[0.01, 1.0, 9.0]]), 0.5, 0.1
    )
    total = np.exp(array(distribution.entry_log_prob(grid))).sum(0)
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
    samples = array(distribution.sample(tensor([[1.3, -0.4, 0.9]])))
    np.testing.assert_allclose(
        (samples - 0.1) / 0.5, np.round((samples - 0.1) / 0.5), atol=1e-5
    )


@pytest.mark.parametrize(
    ("rate", "count"), [(1e6, None), (1e5, 0.3), (1e6, 100.0)]
)
def test_large_counts_are_found_by_blocks(rate, count):
    p = np.float32(np.linspace(0.01, 0.99, 99))
    log_rate = tensor(np.full(p.shape, np.log(rate)))
    if count is None:
        got = kf.Poisson(log_rate).quantile(tensor(p))
        exact = scipy.stats.poisson(rate)
    else:
        counts = tensor(np.full(p.shape, count))
        got = kf.NegativeBinomial(log_rate, counts).quantile(tensor(p))
        exact = scipy.stats.nbinom(count, count / (count + rate))
    # 2e-4 of probability, or 1 where the first count has more than that.
    assert np.all(exact.cdf(array(got)) >= p - 2e-4)
    assert np.all(exact.cdf(array(got) - 1) <= p + 2e-4)
