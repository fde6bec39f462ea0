"""Sampling and forecasts: which axis is which, and where each goes on."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.axes import last_active
from keras_fivo.inference.generation import (
    draw_generation_noise,
    draw_particles,
    generate,
)
from keras_fivo.noise import Noise
from tests.latent_sequence_model.models import assert_same, model
from tests.reference.examples import BATCH, LENGTHS, STEPS, data, numpy

FEATURES = 2


class Counter(kf.LatentCell):
    """x_t = x_{t-1} + 1, and the control, almost without noise."""

    def encode(self, inputs, observed_state):
        first = observed_state["previous"][None]
        both = keras.ops.concatenate([first, inputs["observations"]], 0)
        past = self._past(both[:-1], inputs.get("controls"))
        after = {"previous": last_active(both, inputs["active"])}
        return past, inputs["observations"], after

    def past_features(self, observed_state, controls=None):
        return self._past(observed_state["previous"], controls)

    def _past(self, previous, controls):
        return {
            "next": previous + 1.0 + (0.0 if controls is None else controls)
        }

    def recur(self, states, past):
        return {"latent": states, "next": past["next"]}

    def transition_distribution(self, context):
        zeros = keras.ops.zeros_like(context["latent"])
        return kf.Normal(zeros, zeros + 1.0)

    def emission_distribution(self, context, latent):
        return kf.Normal(context["next"], 1e-4 + 0.0 * context["next"])

    def initial_observed_state(self, batch):
        return {"previous": keras.ops.zeros((batch, self.observation_dim))}


def counter(controls=False):
    """A built model, nothing of which is trained."""
    made = kf.LatentSequenceModel(Counter(1), seed=0)
    shapes = {"observations": (None, None, FEATURES)}
    if controls:
        shapes["controls"] = (None, None, 1)
    made.build(shapes)
    return made


def prefixes():
    """Three that cannot be taken for each other, junk beyond their ends."""
    start = 100.0 * np.arange(BATCH)[:, None, None]
    step = np.arange(STEPS)[None, :, None]
    feature = np.array([0.0, 0.25])
    observations = (start + step + feature).astype("float32")
    observations[np.arange(STEPS) >= LENGTHS[:, None]] = -999
    return {"observations": observations, "lengths": LENGTHS}


def continuation(num_steps):
    """What comes after each prefix, `(batch, time, features)`."""
    start = 100.0 * np.arange(BATCH) + LENGTHS
    steps = np.arange(num_steps)[:, None] + np.array([0.0, 0.25])
    return start[:, None, None] + steps


def test_each_sample_goes_on_from_its_own_prefix():
    found = numpy(counter().sample(4, num_samples=5, prefix=prefixes()))
    assert found.shape == (BATCH, 5, 4, FEATURES)
    expected = np.broadcast_to(continuation(4)[:, None], found.shape)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_samples_from_the_start_have_no_batch():
    found = numpy(counter().sample(4, num_samples=5))
    assert found.shape == (5, 4, FEATURES)
    expected = np.broadcast_to(np.arange(1, 5)[:, None], found.shape)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert len(np.unique(found[:, 0, 0])) == 5


def test_controls_of_the_steps_to_come_are_used():
    made = counter(controls=True)
    controls = np.array([[10.0], [0.0], [-10.0], [0.0]], "float32")
    gain = np.cumsum(controls, 0)
    found = numpy(made.sample(4, num_samples=5, controls=controls))
    expected = np.arange(1, 5)[:, None] + gain
    np.testing.assert_allclose(
        found, np.broadcast_to(expected, found.shape), atol=0.01
    )
    past = {**prefixes(), "controls": np.zeros((BATCH, STEPS, 1), "float32")}
    each = controls * np.array([1, 2, 3])[:, None, None]
    found = numpy(made.sample(4, num_samples=2, prefix=past, controls=each))
    expected = continuation(4) + np.cumsum(each, 1)
    np.testing.assert_allclose(
        found, np.broadcast_to(expected[:, None], found.shape), atol=0.01
    )
    for wrong in (controls[:3], each[:2]):
        with pytest.raises(ValueError, match="Received: controls of shape"):
            made.sample(4, prefix=past, controls=wrong)


def test_forecasts_hold_means_and_quantiles_of_their_samples():
    made = counter()
    levels = (0.1, 0.5, 0.8)
    future = made.forecast(prefixes(), 4, num_samples=7, quantiles=levels)
    samples = numpy(future.samples)
    assert samples.shape == (BATCH, 7, 4, FEATURES)
    assert future.levels == levels
    np.testing.assert_allclose(numpy(future.means), continuation(4), atol=0.01)
    quantiles = numpy(future.quantiles)
    assert quantiles.shape == (3, BATCH, 4, FEATURES)
    np.testing.assert_allclose(
        quantiles, np.quantile(samples, levels, axis=1), 1e-6, 1e-4
    )
    assert (np.diff(quantiles, axis=0) >= 0).all()


def test_a_seed_repeats_samples_and_none_does_not():
    made = model(cell={"emission": "normal"}, seed=0)
    made.build((None, None, 3))
    prefix = data(controls=False)
    for arguments in ({}, {"prefix": prefix}):
        first, again, other = (
            numpy(made.sample(3, 2, seed=seed, **arguments))
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.isin(first, other).any()
        fresh = [numpy(made.sample(3, 2, **arguments)) for _ in range(2)]
        assert not np.isin(*fresh).any()


def test_unequal_prefixes_go_on_as_each_would_alone():
    made = model(controls=True, evaluation_bound=kf.FIVO(3, "multinomial"))
    sequences = data()
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    together = made.filter(sequences, noise=noise).state
    uniforms = keras.ops.convert_to_tensor([[0.1, 0.9]] * BATCH)
    later = draw_generation_noise(made.cell, 4, 2 * BATCH, seed=2)
    controls = keras.ops.ones((4, 2 * BATCH, 2))
    expected = generate(
        made.cell, draw_particles(together, 2, uniforms), later, controls
    )
    for row, length in enumerate(LENGTHS):
        only = slice(row, row + 1)
        alone = made.filter(
            {
                name: value[only, :length]
                for name, value in sequences.items()
                if name != "lengths"
            },
            noise={k: v[only, :length] for k, v in noise.items()},
        ).state
        rows = slice(2 * row, 2 * row + 2)
        found = generate(
            made.cell,
            draw_particles(alone, 2, uniforms[only]),
            Noise(**{k: x[:, rows] for k, x in later.present().items()}),
            controls[:, rows],
        )
        for name, value in found.items():
            assert_same([numpy(value)], [numpy(expected[name])[:, rows]], 1e-5)


def correlated_chain():
    """Two columns of one latent, whose errors depend on each other."""
    values = {
        "initial_mean": [0.0],
        "initial_covariance": [[1.0]],
        "transition_matrix": [[0.9]],
        "transition_offset": [0.1],
        "transition_covariance": [[0.25]],
        "emission_matrix": [[1.0], [0.5]],
        "emission_offset": [0.0, 1.0],
        "emission_covariance": [[0.3, 0.2], [0.2, 0.4]],
    }
    made = kf.LatentSequenceModel(kf.LinearGaussianCell(1, values), seed=0)
    made.build((None, None, 2))
    return made


def joint_normal(steps):
    """Mean `(steps * 2,)` and covariance of the columns of that chain."""
    mean, variance = np.zeros(steps), np.ones(steps)
    for t in range(1, steps):
        mean[t] = 0.9 * mean[t - 1] + 0.1
        variance[t] = 0.81 * variance[t - 1] + 0.25
    first, second = np.indices((steps, steps))
    latent = 0.9 ** abs(first - second) * variance[np.minimum(first, second)]
    loading = np.array([1.0, 0.5])
    noise = np.array([[0.3, 0.2], [0.2, 0.4]])
    covariance = np.kron(latent, np.outer(loading, loading))
    covariance += np.kron(np.eye(steps), noise)
    return np.kron(mean, loading) + np.tile([0.0, 1.0], steps), covariance


@pytest.mark.one_backend
def test_forecasts_given_a_known_column_are_the_exact_conditional_ones():
    steps, horizon = 3, 3
    generator = np.random.default_rng(0)
    values = generator.standard_normal((steps + horizon, 2)).astype("float32")
    known = values[steps:].copy()
    known[:, 0] = np.nan
    known[1] = np.nan  # a step of which nothing is known
    future = correlated_chain().forecast(
        values[None, :steps],
        horizon,
        num_samples=20_000,
        num_particles=2_000,
        known=known[None],
        seed=1,
    )
    mean, covariance = joint_normal(steps + horizon)
    flat = np.concatenate([values[:steps], known]).ravel()
    there = ~np.isnan(flat)
    gain = covariance[:, there] @ np.linalg.inv(covariance[there][:, there])
    expected = mean + gain @ (flat[there] - mean[there])
    rest = np.diag(covariance - gain @ covariance[there])
    samples = numpy(future.samples)[0]
    later = slice(2 * steps, None)
    np.testing.assert_allclose(
        numpy(future.means)[0].ravel(), expected[later], atol=0.05
    )
    np.testing.assert_allclose(
        samples.mean(0).ravel(), expected[later], atol=0.05
    )
    np.testing.assert_allclose(
        samples.var(0).ravel(), rest[later], rtol=0.08, atol=1e-6
    )
    seen = ~np.isnan(known)
    assert (samples[:, seen] == known[seen]).all()


@pytest.mark.one_backend
def test_a_forecast_of_which_nothing_is_known_is_the_usual_one():
    made, prefix = model(cell={"emission": "normal"}), data(controls=False)
    made.build((None, None, 3))
    usual = made.forecast(prefix, 4, num_samples=6, seed=0)
    nothing = np.full((BATCH, 4, 3), np.nan)
    same = made.forecast(prefix, 4, num_samples=6, seed=0, known=nothing)
    for name in ("samples", "means", "quantiles"):
        assert_same(getattr(same, name), getattr(usual, name))


def test_what_is_known_goes_with_controls_unequal_lengths_and_no_past():
    made, past = model(controls=True), data()
    made.build({"observations": (None, None, 3), "controls": (None, None, 2)})
    known = np.full((BATCH, 3, 3), np.nan, "float32")
    known[:, :, 2] = np.eye(3)[:BATCH]
    controls = np.ones((BATCH, 3, 2), "float32")
    arguments = {"num_samples": 5, "seed": 0}
    given = {"controls": controls, "known": known}
    future = numpy(made.forecast(past, 3, **arguments, **given).samples)
    assert np.isfinite(future).all()
    assert (future[..., 2] == known[:, None, :, 2]).all()
    first = made.forecast(
        None, 3, **arguments, controls=controls[:1], known=known[:1]
    )
    assert (numpy(first.samples)[..., 2] == known[:1, None, :, 2]).all()


def test_samples_that_contradict_what_is_known_are_told():
    made, prefix = model(cell={"emission": "poisson"}), data(controls=False)
    made.build((None, None, 3))
    known = np.full((BATCH, 2, 3), np.nan, "float32")
    known[:, 0, 1] = 2.0
    known[1, 1, 0] = -1.0  # no count
    future = made.forecast(prefix, 2, num_samples=5, known=known, seed=0)
    samples = numpy(future.samples)
    assert np.isnan(samples[1]).all()
    assert np.isfinite(samples[[0, 2]]).all()
    assert (samples[[0, 2]][:, :, 0, 1] == 2.0).all()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (np.zeros((BATCH, 4, 2)), "Received: known of shape"),
        (np.full((BATCH, 4, 3), np.inf), "infinite values"),
    ],
)
def test_what_is_known_must_have_the_shape_of_the_steps_to_come(known, words):
    made = model(cell={"emission": "normal"})
    made.build((None, None, 3))
    with pytest.raises(ValueError, match=words):
        made.forecast(data(controls=False), 4, known=known)


def test_a_joint_emission_does_not_complete_what_is_known():
    made = model(cell={"emission": "autoregressive_bernoulli"})
    made.build((None, None, 3))
    known = np.full((BATCH, 2, 3), np.nan)
    with pytest.raises(ValueError, match="joint density"):
        made.forecast(data(controls=False), 2, known=known)
