"""The Kalman filter and smoother against one big Normal."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo import linear_gaussian as lg
from keras_fivo.inference.smoothing import Smoother
from keras_fivo.inputs import prepare_inputs
from keras_fivo.linear_gaussian import posterior
from tests.reference.dense_gaussian import Dense, parameters
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

STEPS, BATCH, SIZE, FEATURES = 6, 3, 2, 3
LENGTHS = [6, 4, 1]
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def model_of(values):
    return lg.LinearGaussian(
        **{k: v.astype("float32") for k, v in values.items()}
    )


def case(per_step=True, features=FEATURES, size=SIZE):
    """Parameters, observations and mask: lengths, steps, entries missing."""
    values = parameters(STEPS, size, features, per_step)
    generator = np.random.default_rng(1)
    x = generator.standard_normal((BATCH, STEPS, features)).astype("float32")
    mask = np.arange(STEPS)[:, None] < np.array(LENGTHS)[:, None, None]
    mask = np.repeat(mask, features, -1)
    mask[0, [1, 2]] = False
    mask[0, 4, 0] = mask[1, 0, -1] = False
    return values, x, mask


@pytest.mark.parametrize("per_step", [True, False])
def test_the_filter_is_exact(per_step):
    values, x, mask = case(per_step)
    junk = np.where(mask, x, np.nan).astype("float32")
    result = lg.kalman_filter(model_of(values), junk, mask)
    dense = Dense(values, STEPS)
    for b in range(BATCH):
        evidence = [
            dense.log_evidence(x[b], mask[b], t) for t in range(STEPS + 1)
        ]
        np.testing.assert_allclose(
            numpy(result.log_evidence)[b], evidence[-1], rtol=1e-5
        )
        np.testing.assert_allclose(
            numpy(result.log_evidence_increments)[b], np.diff(evidence), **CLOSE
        )
        for t in range(STEPS):
            for until, prefix in ((t, "predicted_"), (t + 1, "")):
                means, covs = dense.marginals(
                    *dense.posterior(x[b], mask[b], until)
                )
                found = numpy(getattr(result, f"{prefix}means"))[b, t]
                np.testing.assert_allclose(found, means[t], **CLOSE)
                found = numpy(getattr(result, f"{prefix}covariances"))[b, t]
                np.testing.assert_allclose(found, covs[t], **CLOSE)


@pytest.mark.parametrize("per_step", [True, False])
def test_the_smoother_is_exact(per_step):
    values, x, mask = case(per_step)
    result = lg.kalman_smoother(model_of(values), x, mask)
    dense = Dense(values, STEPS)
    for b in range(BATCH):
        means, covs = dense.marginals(*dense.posterior(x[b], mask[b]))
        np.testing.assert_allclose(numpy(result.means)[b], means, **CLOSE)
        np.testing.assert_allclose(numpy(result.covariances)[b], covs, **CLOSE)
        np.testing.assert_allclose(
            numpy(result.log_evidence)[b],
            dense.log_evidence(x[b], mask[b]),
            rtol=1e-5,
        )


def test_a_mask_of_steps_means_all_their_entries():
    values, x, _ = case()
    steps = np.arange(STEPS) < np.array(LENGTHS)[:, None]
    entries = np.repeat(steps[..., None], FEATURES, -1)
    by_step = lg.kalman_filter(model_of(values), x, steps)
    by_entry = lg.kalman_filter(model_of(values), x, entries)
    np.testing.assert_array_equal(
        numpy(by_step.log_evidence), numpy(by_entry.log_evidence)
    )


def test_one_step_alone():
    values, x, _ = case(per_step=False)
    dense = Dense(values, 1)
    result = lg.kalman_smoother(model_of(values), x[:, :1])
    noise = np.zeros((BATCH, 1, 1, SIZE), "float32")
    path = lg.sample_posterior(model_of(values), x[:, :1], noise)
    for b in range(BATCH):
        mean, cov = dense.posterior(x[b, :1], np.ones((1, FEATURES), bool))
        np.testing.assert_allclose(numpy(result.means)[b, 0], mean, **CLOSE)
        np.testing.assert_allclose(numpy(path)[b, 0, 0], mean, **CLOSE)
        np.testing.assert_allclose(
            numpy(result.covariances)[b, 0], cov, **CLOSE
        )


def affine_covariance(samples):
    """The covariance that unit noises, the first of them zero, reveal."""
    paths = samples.reshape(len(samples), -1)
    columns = paths[1:] - paths[:1]
    return paths[0], columns.T @ columns


def unit_noises(steps, size):
    """Zero noise, and one for each entry: `(1, steps, samples, size)`."""
    noise = np.zeros((steps * size + 1, steps * size), "float32")
    noise[1:] = np.eye(steps * size)
    return noise.reshape(-1, steps, size).swapaxes(0, 1)[None]


@pytest.mark.parametrize("per_step", [True, False])
def test_posterior_samples_have_the_exact_mean_and_covariance(per_step):
    values, x, mask = case(per_step)
    noise = np.repeat(unit_noises(STEPS, SIZE), BATCH, axis=0)
    samples = numpy(lg.sample_posterior(model_of(values), x, noise, mask))
    assert samples.shape == noise.shape
    dense = Dense(values, STEPS)
    for b in range(BATCH):
        mean, cov = affine_covariance(samples[b].swapaxes(0, 1))
        expected = dense.posterior(x[b], mask[b])
        np.testing.assert_allclose(mean, expected[0], **CLOSE)
        np.testing.assert_allclose(cov, expected[1], **CLOSE)


@pytest.mark.parametrize("per_step", [True, False])
def test_prior_samples_have_the_exact_mean_and_covariance(per_step):
    values, _, _ = case(per_step)
    latent = unit_noises(STEPS, SIZE + FEATURES)
    found = lg.sample_prior(
        model_of(values), latent[..., :SIZE], latent[..., SIZE:]
    )
    dense = Dense(values, STEPS)
    latents, observations = (numpy(x)[0].swapaxes(0, 1) for x in found)
    mean, cov = affine_covariance(latents)
    np.testing.assert_allclose(mean, dense.latent_mean, **CLOSE)
    np.testing.assert_allclose(cov, dense.latent_cov, **CLOSE)
    mean, cov = affine_covariance(observations)
    np.testing.assert_allclose(mean, dense.mean, **CLOSE)
    np.testing.assert_allclose(cov, dense.cov, **CLOSE)


@pytest.mark.parametrize("per_step", [True, False])
def test_forecasts_begin_where_each_sequence_ends(per_step):
    values, x, mask = case(per_step)
    horizon = 3
    result = lg.forecast(
        model_of(values), x, horizon, mask, np.array(LENGTHS, "int32")
    )
    total = STEPS + horizon
    dense = Dense(values, total)
    for b, length in enumerate(LENGTHS):
        own = np.zeros((total, FEATURES), bool)
        own[:STEPS] = mask[b]
        wide = np.zeros((total, FEATURES))
        wide[:STEPS] = x[b]
        seen = dense._seen(own, total)
        gain = np.linalg.solve(dense.cov[np.ix_(seen, seen)], dense.cov[seen]).T
        mean = dense.mean + gain @ (wide.reshape(-1)[seen] - dense.mean[seen])
        cov = dense.cov - gain @ dense.cov[seen]
        for h in range(horizon):
            rows = slice((length + h) * FEATURES, (length + h + 1) * FEATURES)
            np.testing.assert_allclose(
                numpy(result.means)[b, h], mean[rows], **CLOSE
            )
            np.testing.assert_allclose(
                numpy(result.covariances)[b, h], cov[rows, rows], **CLOSE
            )
        means, covs = dense.marginals(*dense.posterior(wide, own))
        ahead = slice(length, length + horizon)
        np.testing.assert_allclose(
            numpy(result.latent_means)[b], means[ahead], **CLOSE
        )
        np.testing.assert_allclose(
            numpy(result.latent_covariances)[b], covs[ahead], **CLOSE
        )


def test_offsets_of_each_sequence_stand_for_controls():
    values, x, mask = case(per_step=False)
    generator = np.random.default_rng(4)
    pushes = generator.standard_normal((BATCH, STEPS - 1, SIZE))
    shifts = generator.standard_normal((BATCH, STEPS, FEATURES))
    model = model_of(
        {**values, "transition_offset": pushes, "emission_offset": shifts}
    )
    result = lg.kalman_smoother(model, x, mask)
    for b in range(BATCH):
        own = {
            **values,
            "transition_offset": pushes[b],
            "emission_offset": shifts[b],
        }
        dense = Dense(own, STEPS)
        means, _ = dense.marginals(*dense.posterior(x[b], mask[b]))
        np.testing.assert_allclose(numpy(result.means)[b], means, **CLOSE)
        np.testing.assert_allclose(
            numpy(result.log_evidence)[b],
            dense.log_evidence(x[b], mask[b]),
            rtol=1e-5,
        )


def test_the_log_evidence_has_the_gradient_of_its_differences():
    values, x, mask = case()
    variables = {
        name: keras.Variable(value.astype("float32"), name=name)
        for name, value in values.items()
    }

    def evidence():
        model = lg.LinearGaussian(**variables)
        return ops.sum(lg.kalman_filter(model, x, mask).log_evidence)

    found = gradients(evidence, list(variables.values()))
    generator = np.random.default_rng(3)
    moves = {
        name: generator.standard_normal(value.shape)
        for name, value in values.items()
    }
    for name in moves:
        if name.endswith("covariance"):
            moves[name] = moves[name] + np.swapaxes(moves[name], -1, -2)

    def dense_evidence(distance):
        moved = {k: v + distance * moves[k] for k, v in values.items()}
        dense = Dense(moved, STEPS)
        return sum(dense.log_evidence(x[b], mask[b]) for b in range(BATCH))

    expected = (dense_evidence(1e-6) - dense_evidence(-1e-6)) / 2e-6
    slope = sum(
        (gradient * moves[name]).sum()
        for name, gradient in zip(values, found, strict=True)
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-3)


def test_the_smoother_is_differentiable():
    values, x, mask = case()
    variables = [keras.Variable(v.astype("float32")) for v in values.values()]

    def spread():
        model = lg.LinearGaussian(**dict(zip(values, variables, strict=True)))
        result = lg.kalman_smoother(model, x, mask)
        return ops.sum(result.means) + ops.sum(result.covariances)

    for gradient in gradients(spread, variables):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_thousand_steps_in_float32():
    """A slow, precisely observed oscillation, of which little is noise."""
    steps = 1000
    turn = 0.02
    values = {
        "initial_mean": np.zeros(2),
        "initial_covariance": 100 * np.eye(2),
        "transition_matrix": np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        ),
        "transition_offset": np.zeros(2),
        "transition_covariance": 1e-6 * np.eye(2),
        "emission_matrix": np.array([[1.0, 0.0]]),
        "emission_offset": np.zeros(1),
        "emission_covariance": 1e-2 * np.eye(1),
    }
    generator = np.random.default_rng(0)
    x = np.sin(turn * np.arange(steps)) + 0.1 * generator.standard_normal(steps)
    x = x[None, :, None].astype("float32")
    mask = generator.uniform(size=(1, steps)) < 0.9
    found = lg.kalman_smoother(model_of(values), x, mask)
    dense = Dense(values, steps)
    observed = mask[0][:, None]
    means, covs = dense.marginals(*dense.posterior(x[0], observed))
    np.testing.assert_allclose(
        numpy(found.log_evidence)[0],
        dense.log_evidence(x[0], observed),
        rtol=1e-4,
    )
    np.testing.assert_allclose(numpy(found.means)[0], means, atol=1e-3)
    np.testing.assert_allclose(
        numpy(found.covariances)[0], covs, rtol=1e-2, atol=1e-7
    )
    smallest = np.linalg.eigvalsh(numpy(found.covariances)[0]).min()
    assert smallest > 0


def test_one_pass_of_the_filter_serves_all_answers(monkeypatch):
    calls, run = [], posterior.filter_steps
    monkeypatch.setattr(
        posterior, "filter_steps", lambda *x: calls.append(x) or run(*x)
    )
    values, x, mask = case()
    cell = kf.LinearGaussianCell(SIZE, values)
    cell.build((None, None, FEATURES))
    cell.exact(x, mask)
    assert len(calls) == 1
    smoother = Smoother(cell, "exact", kf.FIVO(2))
    inputs = prepare_inputs({"observations": x, "mask": mask}, cell.center)
    smoother(inputs, smoother.draw(STEPS, BATCH, 2, 0))
    assert len(calls) == 2


def test_wrong_shapes_are_refused():
    values, x, _ = case()
    with pytest.raises(ValueError, match=r"Received: an array of shape"):
        lg.kalman_filter(model_of(values), x[0])
    values["emission_matrix"] = np.zeros((1, 1, 1, 3, 2))
    with pytest.raises(ValueError, match=r"Received: shape="):
        lg.kalman_filter(model_of(values), x)
