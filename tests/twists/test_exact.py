"""Twists of linear Gaussian cells against exact answers."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from tests.reference.examples import numpy, randomize, vrnn
from tests.reference.gradients import gradients

STEPS, RUNS = 4, 4000
MASK = np.ones((3, STEPS), bool)
MASK[0, 1] = MASK[1, 0] = MASK[2, 3] = False
LENGTHS = np.array([4, 3, 4], "int32")
ALWAYS = kf.FIVO(3, "multinomial", "always")


def observations(sequences=3):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, STEPS, 1)).cumsum(1) + 1.5
    x = np.repeat(x, sequences, 0)
    return x.astype("float32")


def chain(twist, proposal="transition"):
    """A built chain whose last observations are precise."""
    cell = kf.GHMMCell(
        0.9,
        [1.0, 0.5, 0.8, 0.9],
        1.2,
        [0.9, 0.8, 0.4, 0.2],
        proposal=proposal,
        twist=twist,
    )
    cell.build((None, None, 1))
    randomize(cell, size=0.6)
    return cell


def test_the_exact_twist_and_proposal_leave_the_weights_no_variance():
    cell = chain("exact", "exact_smoothing")
    x = observations()
    exact = numpy(cell.exact(x, MASK, lengths=LENGTHS).log_evidence)
    result = ALWAYS(cell, x, MASK, lengths=LENGTHS, seed=0)
    np.testing.assert_allclose(numpy(result.log_evidence), exact, rtol=1e-5)
    twisted = numpy(result.log_weights + result.log_twist)
    # Log-weights begin anew after resampling.
    expected = np.zeros((3, STEPS, 3))
    expected[:, 0] = exact[:, None]
    np.testing.assert_allclose(twisted, expected, rtol=1e-5, atol=1e-5)


def test_the_exact_twist_is_the_density_of_the_future():
    cell, x = chain("exact"), observations()
    result = kf.IWAE(3)(cell, x, MASK, lengths=LENGTHS, seed=0)
    latents, found = numpy(result.latents), numpy(result.log_twist)
    for b, t in ((0, 0), (0, 2), (1, 1)):
        rest = slice(t + 1, LENGTHS[b])
        for z, value in zip(latents[b, t, :, 0], found[b, t], strict=True):
            future = kf.GHMMCell(
                0.9,
                [0.5, 0.8, 0.9][t:],
                1.2,
                [0.8, 0.4, 0.2][t:],
            )
            future.build((None, None, 1))
            # z_{t+1} has the mean 0.9 z_t: the chain moved by that.
            future.chain_weights.initial_mean.assign([0.9 * z])
            exact = future.exact(x[b : b + 1, rest], MASK[b : b + 1, rest])
            np.testing.assert_allclose(
                value, numpy(exact.log_evidence)[0], rtol=1e-4
            )


@pytest.mark.parametrize(
    "proposal",
    [
        "transition",
        pytest.param("exact_filtering", marks=pytest.mark.one_backend),
    ],
)
def test_any_twist_leaves_the_evidence_unbiased(proposal):
    cell = chain(kf.QuadraticTwist(STEPS), proposal)
    x = observations(RUNS)
    mask = np.repeat(MASK[:1], RUNS, 0)
    exact = numpy(cell.exact(x[:1], mask[:1]).log_evidence)[0]
    seeds = keras.random.SeedGenerator(0)
    gap = numpy(ALWAYS(cell, x, mask, seed=seeds).log_evidence) - exact
    error = np.std(np.exp(gap)) / np.sqrt(RUNS)
    assert error < 0.1
    assert abs(np.mean(np.exp(gap)) - 1) < 4 * error
    assert np.mean(gap) < 3 * np.std(gap) / np.sqrt(RUNS)


@pytest.mark.parametrize(
    "twist",
    [
        "exact",
        pytest.param(kf.QuadraticTwist(STEPS), marks=pytest.mark.one_backend),
    ],
)
def test_what_is_reported_in_mid_sequence_is_of_the_model(twist):
    cell, x = chain(twist), observations()[:1]
    many = kf.FIVO(1000, "multinomial", "always")
    result = many(cell, x, seed=keras.random.SeedGenerator(0))
    exact = cell.exact(x)
    latents = numpy(result.latents)[0, ..., 0]
    means = numpy(exact.filtered_means)[0, :, 0]
    scales = np.sqrt(numpy(exact.filtered_covariances)[0, :, 0, 0])
    own, twisted = (
        (weights * latents).sum(-1)
        for weights in (
            np.exp(w - w.max(-1, keepdims=True))
            / np.exp(w - w.max(-1, keepdims=True)).sum(-1, keepdims=True)
            for w in (
                numpy(result.log_weights)[0],
                numpy(result.log_weights + result.log_twist)[0],
            )
        )
    )
    error = scales / np.sqrt(numpy(result.effective_sample_size)[0])
    assert np.all(np.abs(own - means) < 6 * error)
    assert np.any(np.abs(twisted - means)[:-1] > 5 * error[:-1])
    np.testing.assert_array_equal(numpy(result.log_twist)[0, -1], 0.0)


def test_a_filter_goes_on_where_another_ended():
    cell, x = chain(kf.QuadraticTwist(STEPS)), observations()
    noise = numpy(kf.IWAE(3).draw(cell, STEPS, 3, seed=1))
    halves = [
        {name: value[:, part] for name, value in noise.items()}
        for part in (slice(2), slice(2, 4))
    ]
    plain = chain(None)
    for criterion in ("never", kf.AtSteps([9])):
        bound = kf.FIVO(3, criterion=criterion)
        extra = {"resampling": np.zeros((3, 2, 1), "float32")}
        first = bound(cell, x[:, :2], noise={**halves[0], **extra})
        last = bound(
            cell, x[:, 2:], noise={**halves[1], **extra}, state=first.state
        )
        whole = kf.IWAE(3)(plain, x, noise=noise)
        keras.tree.assert_same_structure(whole.state, last.state)
        np.testing.assert_allclose(
            numpy(last.log_evidence), numpy(whole.log_evidence), rtol=1e-5
        )


def test_a_twist_goes_on_with_the_weights_of_its_steps():
    """Sequences may go on from different steps."""
    made = kf.LatentSequenceModel(chain(kf.QuadraticTwist(STEPS)))
    bound = kf.IWAE(3)
    x, lengths = observations(), np.array([2, 1, 0])
    noise = numpy(bound.draw(made.cell, 2 * STEPS, 3, seed=1))
    whole = made.filter(x, bound, {"latent": noise["latent"][:, :STEPS]})
    first = made.filter(
        {"observations": x[:, :2], "lengths": lengths},
        bound,
        {"latent": noise["latent"][:, :2]},
    )
    rest, latent = np.zeros_like(x), np.zeros_like(noise["latent"][:, :STEPS])
    for b, start in enumerate(lengths):
        rest[b, : STEPS - start] = x[b, start:]
        latent[b, : STEPS - start] = noise["latent"][b, start:STEPS]
    last = made.filter(
        {"observations": rest, "lengths": STEPS - lengths},
        bound,
        {"latent": latent},
        first.state,
    )
    for b, start in enumerate(lengths):
        for name in ("latents", "log_twist"):
            np.testing.assert_allclose(
                numpy(getattr(last, name))[b, : STEPS - start],
                numpy(getattr(whole, name))[b, start:],
                rtol=1e-4,
                atol=1e-5,
            )
    with pytest.raises(ValueError, match="Received: sequences of 5 steps"):
        made.filter(x[:, :3], bound, state=first.state)


def test_without_resampling_training_leaves_the_twist_out():
    cell, plain = chain(kf.QuadraticTwist(STEPS)), chain(None)
    x = observations()
    noise = kf.IWAE(3).draw(cell, STEPS, 3, seed=1)
    found, expected = (kf.IWAE(3)(c, x, noise=noise) for c in (cell, plain))
    for name in ("log_evidence", "log_weights", "effective_sample_size"):
        np.testing.assert_allclose(
            numpy(getattr(found, name)),
            numpy(getattr(expected, name)),
            rtol=1e-4,
            atol=1e-5,
        )
    assert expected.log_twist is None


def test_twists_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Received: twist='two_step'"):
        kf.GHMMCell(twist="two_step")
    with pytest.raises(TypeError, match="Received: twist=3"):
        kf.GHMMCell(twist=3)
    with pytest.raises(ValueError, match="Received: objective='best'"):
        kf.LookAheadTwist(objective="best")
    with pytest.raises(ValueError, match="Received: num_samples=1"):
        kf.OneStepTwist(num_samples=1)
    with pytest.raises(ValueError, match="Received: num_steps=1"):
        kf.QuadraticTwist(1)
    with pytest.raises(ValueError, match="Received: sequences of 4 steps"):
        ALWAYS(chain(kf.QuadraticTwist(3)), observations())
    with pytest.raises(TypeError, match="Received: a cell whose past has"):
        ALWAYS(vrnn(False, twist="exact"), np.zeros((1, 2, 3), "float32"))


class Constant(kf.QuadraticTwist):
    """A twist whose values are numbers."""

    def log_twist(self, context, latent, look_ahead):
        return ops.stop_gradient(super().log_twist(context, latent, look_ahead))


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param("density_ratio", marks=pytest.mark.one_backend),
        "temporal_difference",
    ],
)
def test_the_model_learns_as_if_the_twist_were_a_constant(objective):
    """Unless the bound trains the twist too; its own weights always move."""
    made = {
        "mine": chain(kf.QuadraticTwist(STEPS, objective), "filtering"),
        "constant": chain(Constant(STEPS, "bound"), "filtering"),
        "whole": chain(kf.QuadraticTwist(STEPS, "bound"), "filtering"),
    }
    x, found = observations(), {}
    for name, cell in made.items():
        noise = ALWAYS.draw(cell, STEPS, 3, seed=1)
        variables = cell.trainable_variables
        values = gradients(
            lambda cell=cell, noise=noise: ops.sum(
                ALWAYS(cell, x, noise=noise).log_evidence
            ),
            variables,
        )
        found[name] = {
            v.path.partition("/")[2]: value
            for v, value in zip(variables, values, strict=True)
        }
    assert set(found["mine"]) == set(found["whole"])
    for path, mine in found["mine"].items():
        own = path.startswith("twist/")
        right, wrong = ("whole", "constant") if own else ("constant", "whole")
        np.testing.assert_allclose(mine, found[right][path], 1e-4, 1e-5)
        assert np.abs(mine - found[wrong][path]).max() > 1e-3, path
