"""Priors up to 100,000 times as wide as the noise, in float32."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo import linear_gaussian as lg
from tests.reference.dense_gaussian import at, parameters
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

STEPS, BATCH = 8, 2
RATIOS = [1.0, 10.0, 1e3, 1e4, 1e5]


def trend(ratio):
    """A level, observed, and its slope, which only later steps tell."""
    return {
        "initial_mean": np.zeros(2),
        "initial_covariance": ratio**2 * np.eye(2),
        "transition_matrix": np.array([[1.0, 1.0], [0.0, 1.0]]),
        "transition_offset": np.zeros(2),
        "transition_covariance": np.diag([1e-2, 1e-3]),
        "emission_matrix": np.array([[1.0, 0.0]]),
        "emission_offset": np.zeros(1),
        "emission_covariance": np.eye(1),
    }


def generic(size, features):
    def make(ratio):
        values = parameters(STEPS, size, features, True, seed=5)
        values["initial_covariance"] *= ratio**2
        return values

    return make


# One, fewer and more entries than latents, which are condensed.
MODELS = {
    "trend": trend,
    "generic_3_2": generic(3, 2),
    "generic_2_5": generic(2, 5),
}


def case(name, ratio):
    """Parameters, as float32 holds them, and data near the prior mean."""
    values = {
        k: v.astype("float32").astype("float64")
        for k, v in MODELS[name](ratio).items()
    }
    features = values["emission_matrix"].shape[-2]
    generator = np.random.default_rng(2)
    shape = (BATCH, STEPS, features)
    x = 2 * generator.standard_normal(shape).astype("float32")
    mask = np.ones(shape, bool)
    mask[1, 2], mask[1, -2:], mask[0, 4, 0] = False, False, False
    return values, x, mask


def model_of(values):
    return lg.LinearGaussian(
        **{k: v.astype("float32") for k, v in values.items()}
    )


def information(values, x, mask):
    """The posterior by least squares in float64, where nothing cancels.

    Returns:
        Log evidence, mean `(steps, size)` and covariance of all latents.
    """
    size = len(values["initial_mean"])
    total = STEPS * size
    rows, targets, constant = [], [], 0.5 * total * np.log(2 * np.pi)

    def add(blocks, residual, covariance):
        nonlocal constant
        factor = np.linalg.cholesky(covariance)
        row = np.zeros((len(residual), total))
        for step, matrix in blocks:
            row[:, step * size : (step + 1) * size] = matrix
        rows.append(np.linalg.solve(factor, row))
        targets.append(np.linalg.solve(factor, residual))
        constant -= np.log(np.diag(factor)).sum()
        constant -= 0.5 * len(residual) * np.log(2 * np.pi)

    first = values["initial_mean"], values["initial_covariance"]
    add([(0, np.eye(size))], *first)
    for t in range(1, STEPS):
        names = ("matrix", "offset", "covariance")
        matrix, offset, covariance = (
            at(values[f"transition_{n}"], 1 if n == "offset" else 2, t - 1)
            for n in names
        )
        add([(t - 1, -matrix), (t, np.eye(size))], offset, covariance)
    for t in range(STEPS):
        seen = mask[t]
        matrix = at(values["emission_matrix"], 2, t)[seen]
        offset = at(values["emission_offset"], 1, t)[seen]
        covariance = at(values["emission_covariance"], 2, t)
        covariance = covariance[np.ix_(seen, seen)]
        add([(t, matrix)], x[t, seen] - offset, covariance)
    stacked = np.concatenate(rows), np.concatenate(targets)
    rotation, root = np.linalg.qr(stacked[0])
    mean = np.linalg.solve(root, rotation.T @ stacked[1])
    rest = stacked[1] - stacked[0] @ mean
    inverse = np.linalg.inv(root)
    log_evidence = constant - 0.5 * rest @ rest
    log_evidence -= np.log(np.abs(np.diag(root))).sum()
    return log_evidence, mean.reshape(STEPS, size), inverse @ inverse.T


def by_step(covariance):
    size = len(covariance) // STEPS
    parted = covariance.reshape(STEPS, size, STEPS, size)
    return np.stack([parted[t, :, t] for t in range(STEPS)])


def deviations(covariances):
    return np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", MODELS)
def test_filter_smoother_and_samples_hold_in_float32(name, ratio):
    values, x, mask = case(name, ratio)
    close = {"rtol": 5e-5, "atol": 5e-5}
    posterior = lg.Posterior(model_of(values), x, mask)
    filtered, smoothed = posterior.filtered(), posterior.smoothed()
    size = len(values["initial_mean"])
    noise = np.zeros((BATCH, STEPS, STEPS * size + 1, size), "float32")
    units = np.eye(STEPS * size).reshape(-1, STEPS, size)
    noise[:, :, 1:] = units.swapaxes(0, 1)
    paths = numpy(posterior.sample(noise)).astype("float64")
    for b in range(BATCH):
        evidence, mean, covariance = information(values, x[b], mask[b])
        found = numpy(smoothed.log_evidence)[b]
        np.testing.assert_allclose(found, evidence, rtol=1e-5, atol=1e-4)
        spread = deviations(by_step(covariance))
        got = numpy(smoothed.means)[b]
        np.testing.assert_allclose((got - mean) / spread, 0, **close)
        got = deviations(numpy(smoothed.covariances)[b]) / spread
        np.testing.assert_allclose(got, 1, **close)
        # Samples are affine in the noise: unit noises show their root.
        flat = paths[b].swapaxes(0, 1).reshape(STEPS * size + 1, -1)
        np.testing.assert_allclose(
            (flat[0] - mean.ravel()) / spread.ravel(), 0, **close
        )
        root = (flat[1:] - flat[0]) / spread.ravel()
        scaled = covariance / np.outer(spread, spread)
        np.testing.assert_allclose(root.T @ root, scaled, atol=1e-3)
        for t in range(STEPS):
            past = mask[b] & (np.arange(STEPS) <= t)[:, None]
            _, mean, covariance = information(values, x[b], past)
            spread = deviations(by_step(covariance))[t]
            got = numpy(filtered.means)[b, t]
            np.testing.assert_allclose((got - mean[t]) / spread, 0, **close)
            got = deviations(numpy(filtered.covariances)[b, t]) / spread
            np.testing.assert_allclose(got, 1, **close)


@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e5])
@pytest.mark.parametrize("name", ["trend", "generic_3_2"])
def test_exact_proposals_and_twists_hold_in_float32(name, ratio):
    """All weights are the log evidence, whatever the noise."""
    values, x, mask = case(name, ratio)
    size = len(values["initial_mean"])
    cell = kf.LinearGaussianCell(
        size, values, proposal="exact_smoothing", twist="exact"
    )
    cell.build((None, None, x.shape[-1]))
    bound = kf.FIVO(3)
    result = bound(cell, x, mask, seed=0)
    expected = [information(values, x[b], mask[b])[0] for b in range(BATCH)]
    np.testing.assert_allclose(
        numpy(result.log_evidence), expected, rtol=1e-4, atol=2e-3
    )


@pytest.mark.parametrize("ratio", [10.0, 1e4])
@pytest.mark.parametrize("name", ["trend", "generic_2_5"])
def test_gradients_are_those_of_differences_in_float64(name, ratio):
    values, x, mask = case(name, ratio)
    variables = {k: keras.Variable(v, "float32") for k, v in values.items()}

    def evidence():
        model = lg.LinearGaussian(**variables)
        return ops.sum(lg.kalman_smoother(model, x, mask).log_evidence)

    def means():
        model = lg.LinearGaussian(**variables)
        found = lg.kalman_smoother(model, x, mask)
        spread = ops.diagonal(found.covariances, axis1=-2, axis2=-1)
        return ops.sum(found.means) + ops.sum(ops.sqrt(spread))

    generator = np.random.default_rng(3)
    moves = {}
    for key, value in values.items():
        move = generator.standard_normal(value.shape)
        if key.endswith("covariance"):
            # In units of the covariance itself, which may be vague.
            factor = np.linalg.cholesky(value)
            move = 0.3 * (move + np.swapaxes(move, -1, -2))
            move = factor @ move @ np.swapaxes(factor, -1, -2)
        moves[key] = move

    def exact(distance):
        moved = {k: v + distance * moves[k] for k, v in values.items()}
        found = [information(moved, x[b], mask[b]) for b in range(BATCH)]
        spread = [deviations(by_step(c)).sum() for _, _, c in found]
        means = [m.sum() for _, m, _ in found]
        return np.array([sum(e for e, _, _ in found), sum(means + spread)])

    expected = (exact(1e-5) - exact(-1e-5)) / 2e-5
    for function, slope in zip((evidence, means), expected, strict=True):
        found = gradients(function, list(variables.values()))
        assert all(np.isfinite(g).all() for g in found)
        got = sum(
            (g.astype("float64") * moves[k]).sum()
            for k, g in zip(values, found, strict=True)
        )
        np.testing.assert_allclose(got, slope, rtol=2e-3)
