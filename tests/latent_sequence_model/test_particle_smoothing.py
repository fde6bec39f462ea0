"""Smoothing with particles: by hand, and against loops in NumPy."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.inference.particle_smoothing import (
    filtered_particles,
    fixed_lag,
    trace_paths,
)
from keras_fivo.inference.smoothing import Smoother
from keras_fivo.inputs import prepare_inputs
from tests.latent_sequence_model.models import model
from tests.latent_sequence_model.smoothing_examples import (
    LENGTHS,
    linear_gaussian,
    sequences,
)
from tests.reference import examples
from tests.reference.examples import numpy, randomize


def by_hand(lengths, particles=4, steps=4, seed=3):
    """A filter's result with random ancestors and nameable latents."""
    generator = np.random.default_rng(seed)
    shape = (len(lengths), steps, particles)
    active = np.arange(steps) < np.array(lengths)[:, None]
    ancestors = generator.integers(0, particles, shape)
    ancestors[~active] = np.arange(particles)
    latents = np.arange(np.prod(shape)).reshape(shape)[..., None]
    filler = np.zeros(shape[:2], "float32")
    arrays = {
        "log_evidence": filler[:, 0],
        "log_weights": generator.standard_normal(shape).astype("float32"),
        "effective_sample_size": filler,
        "resampled": active,
        "kl": filler[:, 0],
        "lengths": np.array(lengths, "int32"),
        "active": active,
        "latents": latents.astype("float32"),
        "ancestors": ancestors.astype("int32"),
    }
    tensors = {k: keras.ops.convert_to_tensor(x) for k, x in arrays.items()}
    return arrays, kf.FilterResult(**tensors, state={})


def back(arrays, b, start, end, index):
    """Number at step `end` of the ancestor of a particle of step `start`."""
    for t in range(start - 1, end - 1, -1):
        index = arrays["ancestors"][b, t, index]
    return index


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def inverse(weights, uniform):
    """The first particle whose cumulative weight exceeds the uniform."""
    return int((np.cumsum(weights) > uniform).argmax())


def test_paths_follow_given_ancestors_from_each_sequences_own_last_step():
    lengths = [4, 2, 1]
    arrays, result = by_hand(lengths)
    uniforms = np.array([[0.05, 0.5, 0.95]] * 3, "float32")
    samples, paths, weights = numpy(
        trace_paths(
            filtered_particles(result), keras.ops.convert_to_tensor(uniforms)
        )
    )
    for b, length in enumerate(lengths):
        expected = softmax(arrays["log_weights"][b, length - 1])
        chosen = [inverse(expected, u) for u in uniforms[b]]
        assert len(set(chosen)) > 1
        for t in range(length):
            numbers = [back(arrays, b, length - 1, t, n) for n in range(4)]
            own = arrays["latents"][b, t, :, 0]
            np.testing.assert_array_equal(paths[t, b, :, 0], own[numbers])
            np.testing.assert_array_equal(
                samples[t, b, :, 0], own[[numbers[n] for n in chosen]]
            )
            np.testing.assert_allclose(weights[t, b], expected, rtol=1e-5)


@pytest.mark.parametrize("lag", [0, 1, 2, 3, 50])
def test_fixed_lag_takes_ancestors_of_the_particles_so_many_steps_later(lag):
    lengths = [4, 3, 1]
    arrays, result = by_hand(lengths)
    uniforms = np.random.default_rng(0).random((4, 3, 2), "float32")
    samples, found, weights = numpy(
        fixed_lag(
            filtered_particles(result),
            keras.ops.convert_to_tensor(uniforms),
            lag,
        )
    )
    for b, length in enumerate(lengths):
        for t in range(length):
            seen = min(t + lag, length - 1)
            numbers = [back(arrays, b, seen, t, n) for n in range(4)]
            own = arrays["latents"][b, t, numbers, 0]
            expected = softmax(arrays["log_weights"][b, seen])
            np.testing.assert_array_equal(found[t, b, :, 0], own)
            np.testing.assert_allclose(weights[t, b], expected, rtol=1e-5)
            chosen = [inverse(expected, u) for u in uniforms[t, b]]
            np.testing.assert_array_equal(samples[t, b, :, 0], own[chosen])


def test_the_longest_lag_gives_the_moments_of_the_paths():
    made = model(cell={"emission": "normal"})
    arguments = examples.data(controls=False, mask="entries")
    bound = kf.FIVO(8, criterion="always")
    paths = made.smooth(arguments, bound=bound, num_samples=3)
    noise = bound.draw(made.cell, examples.STEPS, examples.BATCH, 5)
    shape = (examples.BATCH, examples.STEPS, 3)
    first = made.smooth(
        arguments,
        num_samples=3,
        bound=bound,
        noise={"filter": noise, "smoothing": keras.ops.zeros(shape[::2])},
    )
    second = made.smooth(
        arguments,
        "fixed_lag",
        num_samples=3,
        lag=examples.STEPS - 1,
        bound=bound,
        noise={"filter": noise, "smoothing": keras.ops.zeros(shape)},
    )
    for name in ("means", "standard_deviations", "log_evidence"):
        np.testing.assert_allclose(
            *(numpy(getattr(x, name)) for x in (first, second)), rtol=1e-5
        )
    assert not np.allclose(numpy(paths.means), numpy(first.means))


def srnn():
    cell = kf.SRNNCell(
        latent_dim=2, units=4, hidden_units=[5], latent_encoding_dim=6
    )
    made = kf.LatentSequenceModel(cell, seed=0)
    made.build((None, None, examples.FEATURES))
    randomize(cell, size=0.8)
    return made


def linear_gaussian_transition(made, arguments):
    """Log p(z_{t+1} = new | z_t = old), up to a constant."""
    _, values = linear_gaussian()

    def log_transition(b, t, old, new):
        mean = old @ values["transition_matrix"][t].T
        residual = new - mean - values["transition_offset"][t]
        precision = np.linalg.inv(values["transition_covariance"][t])
        return -0.5 * np.einsum("ni,ij,nj->n", residual, precision, residual)

    return log_transition


def srnn_transition(made, arguments):
    """By the networks on h_t and the encoded latent, nothing read ahead."""
    cell = made.cell
    inputs = prepare_inputs(arguments, cell.center)
    state = cell.initial_observed_state(examples.BATCH)
    hidden = numpy(cell.encode(inputs, state)[0]["hidden"])

    def log_transition(b, t, old, new):
        known = np.repeat(hidden[t + 1, b][None], len(old), 0)
        encoded = cell.embed(keras.ops.convert_to_tensor(old))
        density = cell.transition.distribution(
            [keras.ops.convert_to_tensor(known), encoded]
        )
        value = np.repeat(new[None], len(old), 0)
        return numpy(density.log_prob(keras.ops.convert_to_tensor(value)))

    return log_transition


@pytest.mark.parametrize("family", ["linear_gaussian", "srnn"])
def test_backward_simulation_is_that_of_a_loop(family):
    if family == "srnn":
        made, arguments = srnn(), examples.data(controls=False, mask="steps")
        transition_of, lengths = srnn_transition, examples.LENGTHS
    else:
        made, arguments = linear_gaussian()[0], sequences()
        transition_of, lengths = linear_gaussian_transition, LENGTHS
    log_transition = transition_of(made, arguments)
    smoother = Smoother(made.cell, "backward", kf.FIVO(7))
    batch, steps = arguments["observations"].shape[:2]
    noise = smoother.draw(steps, batch, 4, 1)
    found = made.smooth(
        arguments, "backward", 4, bound=smoother.bound, noise=noise
    )
    filtered = made.filter(arguments, smoother.bound, noise["filter"])
    latents, log_weights = numpy([filtered.latents, filtered.log_weights])
    uniforms = numpy(noise["smoothing"])
    for b, length in enumerate(lengths):
        new = [None] * 4
        for t in reversed(range(length)):
            all_weights = []
            for s in range(4):
                scores = log_weights[b, t]
                if t < length - 1:
                    past = log_transition(b, t, latents[b, t], new[s])
                    scores = scores + past
                all_weights.append(softmax(scores))
                new[s] = latents[
                    b, t, inverse(all_weights[s], uniforms[b, t, s])
                ]
            np.testing.assert_allclose(
                numpy(found.samples)[b, :, t], new, rtol=1e-5
            )
            weights = np.mean(all_weights, 0)
            mean = weights @ latents[b, t]
            deviation = np.sqrt(weights @ (latents[b, t] - mean) ** 2)
            np.testing.assert_allclose(
                numpy(found.means)[b, t], mean, rtol=1e-4, atol=1e-5
            )
            np.testing.assert_allclose(
                numpy(found.standard_deviations)[b, t],
                deviation,
                rtol=1e-3,
                atol=1e-4,
            )
