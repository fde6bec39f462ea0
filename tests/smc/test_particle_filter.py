"""The filter on models without networks, whose increments are given."""

from functools import partial

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.noise import Noise
from keras_fivo.smc import particle_filter
from tests.reference.examples import numpy
from tests.reference.gradients import gradients

INF = np.inf


class Given:
    """Its noise holds the increments; its state counts what it has passed.

    The state of a particle is the sum of its ancestors' increments, so it
    shows whose path it has come.
    """

    def call(self, inputs, states):
        increment = inputs["noise"]["latent"]
        zeros = keras.ops.zeros_like(increment)
        result = kf.StepResult(
            latent=increment[:, None],
            log_transition=zeros,
            log_proposal=zeros,
            kl=zeros + 0.5,
            emitted={"x": increment},
            weigh=partial(self.weigh, inputs),
        )
        return result, states + increment[:, None]

    def weigh(self, inputs, emitted):
        return emitted["x"]


def run(increments, lengths=None, state=None, uniforms=None, **options):
    """Filters increments `(batch, time, particles)`, as a tensor or array."""
    batch, steps, particles = increments.shape
    lengths = [steps] * batch if lengths is None else lengths
    active = np.arange(steps)[:, None] < np.asarray(lengths)
    if state is None:
        state = {
            "particles": keras.ops.zeros((batch * particles, 1)),
            "log_weights": keras.ops.zeros((batch, particles)),
            "log_evidence": keras.ops.zeros((batch,)),
        }
    step = np.repeat(np.arange(steps, dtype="int32")[:, None], batch, 1)
    convert = keras.ops.convert_to_tensor
    if uniforms is None:
        uniforms = np.random.default_rng(0).random((steps, batch, particles))
    settings = {"scheme": kf.Multinomial(), "criterion": kf.Always()}
    return particle_filter(
        Given(),
        state,
        {"model": {}, "active": convert(active), "step": convert(step)},
        Noise(
            latent=keras.ops.transpose(convert(increments), (1, 0, 2)),
            resampling=convert(uniforms.astype("float32")),
        ),
        num_particles=particles,
        **{**settings, **options},
    )


def log_mean(x):
    largest = x.max(-1)
    return np.log(np.mean(np.exp(x - largest[..., None]), -1)) + largest


GOLDEN = {"ess": kf.EffectiveSampleSize(), "always": kf.Always()}
GOLDEN["never"] = kf.Never()
GOLDEN.update({f"at{k}": kf.AtSteps([k]) for k in range(6)})


@pytest.mark.parametrize("name", GOLDEN)
def test_it_equals_the_original_on_given_increments(golden, name):
    file = golden("smc_primitives")
    lengths = file["toy/lengths"]
    steps, batch = len(file["toy/log_alpha"]), len(lengths)
    increments = file["toy/log_alpha"].reshape(steps, -1, batch)
    result = run(increments.transpose(2, 0, 1), lengths, criterion=GOLDEN[name])
    np.testing.assert_allclose(
        numpy(result.log_evidence), file[f"toy/{name}/log_z_hat"], rtol=1e-5
    )
    active = np.arange(steps) < lengths[:, None]
    resampled = file[f"toy/{name}/resampled"].T.astype(bool)
    np.testing.assert_array_equal(
        numpy(result.resampled)[active], resampled[active]
    )
    np.testing.assert_allclose(
        numpy(result.log_weights)[active],
        file[f"toy/{name}/log_weights"].swapaxes(0, 1)[active],
        rtol=1e-5,
        atol=1e-6,
    )
    assert not numpy(result.resampled)[~active].any()


def increments(batch=3, steps=4, particles=5, seed=0):
    generator = np.random.default_rng(seed)
    shape = (batch, steps, particles)
    return 2 * generator.standard_normal(shape).astype("float32")


def test_without_resampling_it_averages_whole_paths():
    x = increments()
    for keep_paths in (True, False):
        result = run(x, criterion=kf.Never(), keep_paths=keep_paths)
        np.testing.assert_allclose(
            numpy(result.log_evidence), log_mean(x.sum(1)), rtol=1e-5
        )
        np.testing.assert_allclose(
            numpy(result.log_weights), x.cumsum(1), rtol=1e-5, atol=1e-5
        )
        assert not numpy(result.resampled).any()


def test_always_resampling_adds_the_mean_weight_of_each_step():
    x = increments()
    result = run(x)
    np.testing.assert_allclose(
        numpy(result.log_evidence), log_mean(x).sum(1), rtol=1e-5
    )
    assert numpy(result.resampled).all()
    assert not numpy(result.state["log_weights"]).any()


def test_particles_carry_the_paths_of_their_ancestors():
    x = increments()
    result = run(x)
    ancestors = numpy(result.ancestors)
    paths = np.zeros((3, 5))
    for t in range(4):
        paths = np.take_along_axis(paths + x[:, t], ancestors[:, t], -1)
    found = numpy(result.state["particles"]).reshape(3, 5)
    np.testing.assert_allclose(found, paths, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(numpy(result.latents)[..., 0], x, rtol=1e-6)


def test_resampling_at_the_last_step_changes_no_value():
    x = increments()
    last, never = (
        run(x, criterion=kf.AtSteps([3])),
        run(x, criterion=kf.Never()),
    )
    assert numpy(last.resampled)[:, 3].all()
    np.testing.assert_allclose(
        numpy(last.log_evidence), numpy(never.log_evidence), rtol=1e-5
    )


def test_sequences_of_a_batch_stop_at_their_own_lengths():
    x, lengths = increments(), [4, 1, 0]
    result = run(x, lengths)
    expected = [
        log_mean(row[:n]).sum() for row, n in zip(x, lengths, strict=True)
    ]
    np.testing.assert_allclose(numpy(result.log_evidence), expected, rtol=1e-5)
    np.testing.assert_allclose(numpy(result.kl), [2.0, 0.5, 0.0])
    assert numpy(result.lengths).tolist() == lengths
    assert numpy(result.resampled).sum(1).tolist() == lengths
    still = numpy(result.ancestors)[1, 1:]
    np.testing.assert_array_equal(still, np.tile(np.arange(5), (3, 1)))
    particles = numpy(result.state["particles"]).reshape(3, 5)
    assert set(particles[1]) <= set(x[1, 0])
    assert not particles[2].any()


@pytest.mark.parametrize("criterion", [kf.Always(), kf.Never()])
def test_one_particle_and_one_step(criterion):
    x = increments(particles=1)
    result = run(x, criterion=criterion)
    np.testing.assert_allclose(
        numpy(result.log_evidence), x.sum((1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(numpy(result.effective_sample_size), 1)
    x = increments(steps=1)
    result = run(x, criterion=criterion)
    np.testing.assert_allclose(
        numpy(result.log_evidence), log_mean(x[:, 0]), rtol=1e-5
    )
    assert numpy(result.log_weights).shape == (3, 1, 5)


SETTINGS = {
    "always": {"criterion": kf.Always()},
    "effective sample size": {"criterion": kf.EffectiveSampleSize()},
    "never": {"criterion": kf.Never()},
    "never, deferred": {"criterion": kf.Never(), "keep_paths": False},
    "relaxed": {"scheme": kf.Relaxed(), "uniforms": np.zeros((4, 3, 5, 5))},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_filter_whose_particles_all_died_harms_no_other(name):
    settings = SETTINGS[name]
    x = increments()
    x[1, 2] = -INF  # all of the second sequence die in the middle
    x[2, 1, :4] = -INF  # one of the third survives
    values = keras.Variable(x)
    weight = keras.ops.convert_to_tensor([1.0, 0.0, 1.0])

    def total():
        found = run(values.value, **settings).log_evidence
        alive = keras.ops.isfinite(found)
        return keras.ops.sum(keras.ops.where(alive, found, 0.0) * weight)

    result = run(x, **settings)
    evidence = numpy(result.log_evidence)
    assert evidence[1] == -INF
    assert np.isfinite(evidence[[0, 2]]).all()
    without = run(x[[0, 2]], **_without_second(settings))
    np.testing.assert_allclose(
        evidence[0], numpy(without.log_evidence)[0], rtol=1e-6
    )
    assert not np.isnan(numpy(result.log_weights)).any()
    assert not np.isnan(numpy(result.effective_sample_size)).any()
    assert numpy(result.effective_sample_size)[1, 3] == 0
    assert not numpy(result.resampled)[1, 2:].any()
    (gradient,) = gradients(total, [values])
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()
    # Log evidence moves one to one with all increments of a step.
    np.testing.assert_allclose(gradient[0].sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(gradient[2].sum(-1), 1, rtol=1e-5)


def _without_second(settings):
    uniforms = settings.get("uniforms")
    if uniforms is None:
        uniforms = np.random.default_rng(0).random((4, 3, 5))
    return {**settings, "uniforms": uniforms[:, [0, 2]]}


@pytest.mark.parametrize("criterion", [kf.Always(), kf.Never()])
def test_it_resumes_from_weights_some_of_which_are_zero(criterion):
    x = increments()
    state = {
        "particles": keras.ops.zeros((15, 1)),
        "log_weights": keras.ops.convert_to_tensor(
            np.array([[-INF, 0, -INF, 1, 2], [0] * 5, [-INF] * 5], "float32")
        ),
        "log_evidence": keras.ops.convert_to_tensor([-1.0, 2.0, 3.0]),
    }
    result = run(x, state=state, criterion=criterion)
    evidence = numpy(result.log_evidence)
    start = x + 0
    start[:, 0] += numpy(state["log_weights"])
    if isinstance(criterion, kf.Always):
        expected = log_mean(start[:2]).sum(1)
        chosen = numpy(result.ancestors)[0, 0]
        assert set(chosen) <= {1, 3, 4}
    else:
        expected = log_mean(start[:2].sum(1))
    np.testing.assert_allclose(evidence[:2], expected + [-1, 2], rtol=1e-5)
    assert evidence[2] == -INF
