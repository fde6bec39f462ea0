"""What every cell must hold to, shown on the VRNN."""

import itertools

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.inputs import prepare_inputs
from tests.reference.examples import BATCH, LENGTHS, STEPS, data, numpy, vrnn
from tests.reference.gaussian_chain import GaussianChain
from tests.reference.gradients import gradients

FIELDS = ("log_weights", "effective_sample_size", "resampled", "ancestors")


def close(mine, theirs):
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        mine,
        theirs,
    )


def densities(cell, arguments, latents):
    """Parameters of p(z_t) and p(x_t | z_t) along given latents, by step."""
    inputs = prepare_inputs(arguments, cell.center)
    past, _, _ = cell.encode(inputs, cell.initial_observed_state(BATCH))
    states, found = cell.get_initial_state(BATCH), []
    for t in range(STEPS):
        now = keras.tree.map_structure(lambda x, t=t: x[t], past)
        context = cell.recur(states, now)
        embedded = cell.embed(keras.ops.convert_to_tensor(latents[t]))
        transition = cell.transition_distribution(context)
        emission = cell.emission_distribution(context, embedded)
        found.append(
            [transition.loc, transition.scale, emission.loc, emission.scale]
        )
        states = cell.next_states(context, embedded)
    return numpy(found)


def test_an_observation_does_not_move_its_own_density():
    cell = vrnn(emission="normal")
    arguments = data(lengths=False)
    generator = np.random.default_rng(0)
    latents = generator.standard_normal((STEPS, BATCH, 2)).astype("float32")
    before = densities(cell, arguments, latents)
    changed = arguments["observations"].copy()
    changed[:, 2] += 1
    after = densities(cell, {**arguments, "observations": changed}, latents)
    for t in range(3):
        close(after[t], before[t])
    for mine, theirs in zip(after[3], before[3], strict=True):
        assert np.abs(mine - theirs).max() > 1e-4


@pytest.mark.parametrize("proposal", ["transition", "filtering", "smoothing"])
def test_only_smoothing_proposals_see_the_future(proposal):
    cell, bound = vrnn(proposal=proposal), kf.IWAE(2)
    arguments = data(lengths=False)
    noise = bound.draw(cell, STEPS, BATCH, seed=0)
    before = numpy(bound(cell, noise=noise, **arguments).latents)
    changed = arguments["observations"].copy()
    changed[:, 2] = 1 - changed[:, 2]
    arguments["observations"] = changed
    after = numpy(bound(cell, noise=noise, **arguments).latents)
    moved = np.abs(after - before).max((0, 2, 3)) > 1e-5
    first = {"transition": 3, "filtering": 2, "smoothing": 0}[proposal]
    assert moved.tolist() == [t >= first for t in range(STEPS)]
    assert cell.proposal.sees_future == (proposal == "smoothing")


@pytest.mark.one_backend
@pytest.mark.parametrize("proposal", ["filtering", "smoothing"])
def test_padding_changes_nothing(proposal):
    cell, bound = vrnn(proposal=proposal), kf.FIVO(3, "multinomial")
    arguments = data(mask="entries")
    noise = numpy(bound.draw(cell, STEPS + 2, BATCH, seed=0))
    short = {name: x[:, :STEPS] for name, x in noise.items()}
    # Whatever stands in the padding, not a number too.
    junk = {"observations": np.nan, "controls": np.nan, "mask": True}
    longer = dict(arguments)
    for name, value in junk.items():
        x = longer[name].copy()
        x[np.arange(STEPS) >= LENGTHS[:, None]] = value
        shape = (BATCH, 2, *x.shape[2:])
        longer[name] = np.concatenate([x, np.full(shape, value, x.dtype)], 1)
    first = bound(cell, noise=short, **arguments)
    second = bound(cell, noise=noise, **longer)
    close(numpy(second.log_evidence), numpy(first.log_evidence))
    close(numpy(second.kl), numpy(first.kl))
    close(numpy(second.state), numpy(first.state))
    for field in FIELDS:
        close(
            numpy(getattr(second, field))[:, :STEPS],
            numpy(getattr(first, field)),
        )
    assert not numpy(second.active)[:, STEPS:].any()
    mine, theirs = (
        gradients(
            lambda n=n, a=a: keras.ops.sum(
                bound(cell, noise=n, **a).log_evidence
            ),
            cell.trainable_variables,
        )
        for n, a in ((noise, longer), (short, arguments))
    )
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("proposal", "emission"),
    [("filtering", "bernoulli"), ("smoothing", "normal")],
)
def test_nothing_observed_leaves_values_and_gradients_finite(
    proposal, emission
):
    cell = vrnn(proposal=proposal, emission=emission)
    bound, arguments = kf.FIVO(3), data()
    arguments["observations"] = np.full((BATCH, STEPS, 3), np.nan, "float32")
    arguments["mask"] = np.zeros((BATCH, STEPS), bool)
    arguments["lengths"] = np.array([STEPS, 2, 0])
    noise = bound.draw(cell, STEPS, BATCH, seed=0)
    result = bound(cell, noise=noise, **arguments)
    found = numpy(result.log_evidence)
    assert np.isfinite(found).all()
    assert found[2] == 0 == numpy(result.kl)[2]
    # log p(z) - log q(z) still counts in the steps that are missing.
    assert np.abs(found[:2]).min() > 1e-3
    for gradient in gradients(
        lambda: keras.ops.sum(
            bound(cell, noise=noise, **arguments).log_evidence
        ),
        cell.trainable_variables,
    ):
        assert np.isfinite(gradient).all()


def test_with_the_transition_nothing_observed_says_nothing():
    cell, bound = vrnn(proposal="transition"), kf.FIVO(3)
    arguments = {**data(), "mask": np.zeros((BATCH, STEPS), bool)}
    found = numpy(bound(cell, **arguments, seed=1).log_evidence)
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_a_missing_step_drops_only_the_emission():
    cell, bound = vrnn(), kf.ELBO()
    arguments = data(lengths=False)
    noise = bound.draw(cell, STEPS, BATCH, seed=0)
    mask = np.ones((BATCH, STEPS), bool)
    mask[:, 2] = False
    at_center = arguments["observations"].copy()
    at_center[:, 2] = numpy(cell.center)
    arguments["observations"] = at_center
    whole = bound(cell, noise=noise, **arguments)
    without = bound(cell, noise=noise, mask=mask, **arguments)
    difference = numpy(whole.log_weights) - numpy(without.log_weights)
    latents = numpy(whole.latents)
    close(numpy(without.latents), latents)
    assert np.abs(difference[:, :2]).max() < 1e-5
    emission = difference[:, 2]
    assert np.abs(emission).min() > 0.1
    close(difference[:, 3:], np.repeat(emission[:, None], 3, 1))


def pieces(arguments, noise, splits):
    """Arguments and noise between the splits, lengths cut accordingly."""
    edges = [0, *splits, STEPS]
    for start, stop in itertools.pairwise(edges):
        part = {
            k: v[:, start:stop] for k, v in arguments.items() if k != "lengths"
        }
        part["lengths"] = np.clip(LENGTHS - start, 0, stop - start)
        yield part, {k: v[:, start:stop] for k, v in noise.items()}


RESUMED = {
    "systematic": (kf.FIVO(4), [[2, 4]]),
    "one step at a time": (kf.FIVO(4, "multinomial"), [[1, 2, 3, 4, 5]]),
    "given steps": (kf.FIVO(3, criterion=kf.AtSteps([1, 4])), [[3]]),
    "mean": (kf.ELBO(2), [[1, 4]]),
    "importance weights": (kf.IWAE(3), [[3]]),
    "relaxed": (kf.FIVO(3, "relaxed", "always"), [[3]]),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", RESUMED)
def test_resuming_from_a_state_equals_the_whole(name):
    bound, all_splits = RESUMED[name]
    options = {"recurrent": keras.layers.GRUCell(4)} if name == "mean" else {}
    cell, arguments = vrnn(**options), data(mask="entries")
    noise = numpy(bound.draw(cell, STEPS, BATCH, seed=2))
    whole = bound(cell, noise=noise, **arguments)
    for splits in all_splits:
        state, results = None, []
        for part, part_noise in pieces(arguments, noise, splits):
            results.append(bound(cell, noise=part_noise, state=state, **part))
            state = results[-1].state
        close(numpy(results[-1].log_evidence), numpy(whole.log_evidence))
        close(numpy(state), numpy(whole.state))
        close(sum(numpy(r.kl) for r in results), numpy(whole.kl))
        for field in FIELDS:
            if getattr(whole, field) is not None:
                close(
                    np.concatenate(
                        [numpy(getattr(r, field)) for r in results], 1
                    ),
                    numpy(getattr(whole, field)),
                )


def test_what_comes_next_is_encoded_like_the_whole():
    cell, arguments = vrnn(), data(lengths=False)
    inputs = prepare_inputs(arguments, cell.center)
    past, _, _ = cell.encode(inputs, cell.initial_observed_state(BATCH))
    first = {k: v[:, :4] for k, v in arguments.items()}
    _, _, observed = cell.encode(
        prepare_inputs(first, cell.center), cell.initial_observed_state(BATCH)
    )
    controls = keras.ops.convert_to_tensor(arguments["controls"][:, 4])
    following = numpy(cell.past_features(observed, controls))
    close(following, keras.tree.map_structure(lambda x: x[4], numpy(past)))


def test_one_step_of_the_cell_is_one_step_of_the_filter():
    cell, bound = vrnn(), kf.ELBO()
    arguments = data(lengths=False)
    first = {k: v[:, :1] for k, v in arguments.items()}
    noise = bound.draw(cell, 1, BATCH, seed=0)
    inputs = prepare_inputs(first, cell.center)
    past, present, _ = cell.encode(inputs, cell.initial_observed_state(BATCH))
    ahead = cell.look_ahead(past, present, inputs)
    one = {"past": past, "present": ahead, "observations": None}
    one.update({k: inputs[k] for k in ("observations", "observed")})
    one = keras.tree.map_structure(lambda x: x[0], one)
    one["step"] = keras.ops.zeros((BATCH,), "int32")
    one["noise"] = noise["latent"][:, 0, 0]
    step, states = cell.call(one, cell.get_initial_state(BATCH))
    result = bound(cell, noise=noise, **first)
    weight = step.log_emission + step.log_transition - step.log_proposal
    close(numpy(weight), numpy(result.log_evidence))
    close(numpy(step.kl), numpy(result.kl))
    close(numpy(step.latent), numpy(result.latents)[:, 0, 0])
    close(numpy(states), numpy(result.state["particles"]))


@pytest.mark.parametrize("proposal", ["filtering", "smoothing"])
def test_three_densities_take_a_proposal_with_weights(proposal):
    cell, bound = GaussianChain(1, proposal=proposal), kf.FIVO(3)
    cell.build((None, None, 1))
    x = (
        np.random.default_rng(0)
        .standard_normal((2, STEPS, 1))
        .astype("float32")
    )
    noise = bound.draw(cell, STEPS, 2, seed=0)
    result = bound(cell, x, noise=noise)
    if proposal == "filtering":
        # q(z_1 | x_1) reads the initial state, zero, and x_1; its mean adds
        # to that of p(z_1), 0.5.
        first = [keras.ops.zeros((2, 1)), keras.ops.convert_to_tensor(x[:, 0])]
        found = cell.proposal.head.distribution(first)
        eps = numpy(noise["latent"])[:, 0, :, 0]
        expected = 0.5 + numpy(found.loc) + numpy(found.scale) * eps
        close(numpy(result.latents)[:, 0, :, 0], expected)
    found = gradients(
        lambda: keras.ops.sum(bound(cell, x, noise=noise).log_evidence),
        cell.trainable_variables,
    )
    assert found and all(np.abs(x).max() > 0 for x in found)
