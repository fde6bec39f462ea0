import numpy as np
import pytest
from keras import ops
from scipy import stats

import keras_fivo as kf
from tests.reference.examples import numpy

ROWS, SIZE = 4, 3


def factors(seed=0, rows=ROWS):
    generator = np.random.default_rng(seed)
    factor = np.tril(generator.standard_normal((rows, SIZE, SIZE)))
    diagonal = np.arange(SIZE)
    factor[:, diagonal, diagonal] = 0.2 + generator.exponential(
        size=(rows, SIZE)
    )
    return factor


def tensor(x):
    return ops.convert_to_tensor(np.asarray(x, "float32"))


def example(shared, seed=0):
    loc = np.random.default_rng(seed + 10).standard_normal((ROWS, SIZE))
    factor = factors(seed)
    if shared:
        factor[:] = factor[0]
    given = factor[0] if shared else factor
    return kf.MultivariateNormal(tensor(loc), tensor(given)), loc, factor


def values(seed=5):
    return np.random.default_rng(seed).standard_normal((ROWS, SIZE))


@pytest.mark.parametrize("shared", [False, True])
def test_log_prob_equals_scipy(shared):
    distribution, loc, factor = example(shared)
    x = values()
    expected = [
        stats.multivariate_normal.logpdf(x[i], loc[i], factor[i] @ factor[i].T)
        for i in range(ROWS)
    ]
    found = numpy(distribution.log_prob(tensor(x)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_a_mask_integrates_entries_out(shared):
    distribution, loc, factor = example(shared)
    x, mask = values(), np.random.default_rng(1).random((ROWS, SIZE)) < 0.6
    mask[0], mask[1] = False, True
    expected = []
    for i in range(ROWS):
        seen = np.flatnonzero(mask[i])
        cov = (factor[i] @ factor[i].T)[np.ix_(seen, seen)]
        expected.append(
            stats.multivariate_normal.logpdf(x[i][seen], loc[i][seen], cov)
            if len(seen)
            else 0.0
        )
    x[~mask] = np.nan
    found = distribution.log_prob(tensor(x), ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_samples_are_the_factor_times_the_noise(shared):
    distribution, loc, factor = example(shared)
    noise = values()
    sample, log_prob = distribution.sample_and_log_prob(tensor(noise))
    np.testing.assert_allclose(
        numpy(sample), loc + np.einsum("rij,rj->ri", factor, noise), rtol=1e-5
    )
    np.testing.assert_allclose(
        numpy(log_prob), numpy(distribution.log_prob(sample)), rtol=1e-4
    )
    np.testing.assert_array_equal(
        numpy(distribution.sample(tensor(noise))), numpy(sample)
    )
    np.testing.assert_allclose(numpy(distribution.mean), loc, rtol=1e-6)
    np.testing.assert_allclose(numpy(distribution.mode), loc, rtol=1e-6)


@pytest.mark.parametrize(
    "shared", [(False, False), (True, False), (True, True)]
)
def test_the_divergence_is_that_of_the_formula(shared):
    p, p_loc, p_factor = example(shared[0])
    q, q_loc, q_factor = example(shared[1], seed=3)
    expected = []
    for i in range(ROWS):
        p_cov, q_cov = (f[i] @ f[i].T for f in (p_factor, q_factor))
        inverse, shift = np.linalg.inv(q_cov), q_loc[i] - p_loc[i]
        log_ratio = np.linalg.slogdet(q_cov)[1] - np.linalg.slogdet(p_cov)[1]
        trace = np.trace(inverse @ p_cov)
        expected.append(
            0.5 * (trace + shift @ inverse @ shift - SIZE + log_ratio)
        )
    np.testing.assert_allclose(numpy(p.kl(q)), expected, rtol=1e-4)


def test_a_diagonal_normal_takes_this_form():
    scale = np.random.default_rng(0).exponential(size=(ROWS, SIZE))
    normal = kf.Normal(tensor(values(1)), tensor(scale))
    full = kf.MultivariateNormal.from_normal(normal)
    x = tensor(values())
    np.testing.assert_allclose(
        numpy(full.log_prob(x)), numpy(normal.log_prob(x)), rtol=1e-5
    )


def test_rows_are_chosen_from_two():
    first, _, _ = example(shared=True)
    second, _, _ = example(shared=False, seed=3)
    rows = np.array([True, False, True, False])
    chosen = first.select(ops.convert_to_tensor(rows), second)
    x = tensor(values())
    expected = np.where(
        rows, numpy(first.log_prob(x)), numpy(second.log_prob(x))
    )
    np.testing.assert_allclose(numpy(chosen.log_prob(x)), expected, rtol=1e-5)
