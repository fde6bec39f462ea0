"""Smoothing, as users call it, against exact posteriors."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.inference.smoothing import Smoother
from tests.latent_sequence_model.models import model
from tests.latent_sequence_model.smoothing_examples import (
    BATCH,
    LENGTHS,
    PARTICLE_METHODS,
    STEPS,
    linear_gaussian,
    posteriors,
    sequences,
)
from tests.reference import examples
from tests.reference.dense_gaussian import Dense
from tests.reference.examples import numpy
from tests.reference.gaussian_chain import GaussianChain


def assert_mean_is(values, expected, allowance):
    """The mean over repeats, within five standard errors and a bias."""
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    distance = np.abs(values.mean(0) - expected)
    assert (distance <= 5 * error + allowance).all()
    return error


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("method", "lag", "proposal"),
    [
        *((*given, "exact_filtering") for given in PARTICLE_METHODS),
        ("backward", None, kf.IterativeProposal(1, kf.GradientUpdate(0.05))),
    ],
)
def test_moments_and_samples_are_those_of_the_exact_posterior(
    method, lag, proposal
):
    """Weighted particles have a bias of the order of variance / particles."""
    repeats, particles = 80, 200
    made, values = linear_gaussian(proposal)
    found = made.smooth(
        sequences(repeats),
        method,
        num_samples=20,
        num_particles=particles,
        lag=STEPS - 1 if lag else None,
        seed=2,
    )
    means, covariances = posteriors(values)
    for b, length in enumerate(LENGTHS):
        rows = slice(b * repeats, (b + 1) * repeats)
        variances = np.einsum("titi->ti", covariances[b])
        deviations = np.sqrt(variances)
        bias = 3 * deviations / particles
        mean = numpy(found.means)[rows, :length]
        error = assert_mean_is(mean, means[b], bias)
        # Wide enough to hold, narrow enough to tell.
        assert (5 * error + bias < 0.2 * deviations).all()
        # E[z^2] has no bias of squaring an estimated mean.
        spread = numpy(found.standard_deviations)[rows, :length]
        second = spread**2 + (mean - means[b]) ** 2
        assert_mean_is(second, variances, 3 * variances / particles)
        samples = numpy(found.samples)[rows, :, :length] - means[b]
        assert_mean_is(samples.mean(1), 0.0, bias)
        if method == "fixed_lag" or length == 1:
            continue
        both = (samples[:, :, :-1, 0] * samples[:, :, 1:, 0]).mean(1)
        steps = np.arange(length - 1)
        joint = covariances[b][steps, 0, steps + 1, 0]
        scale = deviations[:-1, 0] * deviations[1:, 0]
        assert_mean_is(both, joint, 3 * scale / particles)


def test_backward_simulation_of_the_chain_agrees_with_the_exact_smoother():
    """Long enough that paths of the last particles have one ancestor."""
    cell = kf.GHMMCell(0.9, 0.5, 1.0, 0.7)
    made = kf.LatentSequenceModel(cell, seed=0)
    made.build((None, None, 1))
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, 60, 1)).astype("float32")
    arguments = {"observations": x, "mask": np.arange(60)[None] % 4 > 0}
    exact = made.smooth(arguments, "exact", seed=0)
    repeated = {k: np.repeat(v, 40, 0) for k, v in arguments.items()}
    found = {
        method: numpy(
            made.smooth(
                repeated, method, 30, num_particles=60, lag=lag, seed=1
            ).means
        )[:, :, 0]
        for method, lag in PARTICLE_METHODS
    }
    mean = numpy(exact.means)[0, :, 0]
    deviation = numpy(exact.standard_deviations)[0, :, 0]
    assert_mean_is(found["backward"], mean, 3 * deviation / 60)
    early = slice(0, 30)
    errors = {
        method: np.mean((value - mean)[:, early] ** 2)
        for method, value in found.items()
    }
    assert errors["backward"] < 0.5 * errors["ancestral"]


def test_the_exact_method_gives_the_kalman_smoother_and_its_samples():
    made, values = linear_gaussian()
    found = made.smooth(sequences(), "exact", num_samples=4000, seed=0)
    assert found.method == "exact"
    np.testing.assert_array_equal(numpy(found.lengths), LENGTHS)
    means, covariances = posteriors(values)
    dense, arguments = Dense(values, STEPS), sequences()
    for b, length in enumerate(LENGTHS):
        variances = np.einsum("titi->ti", covariances[b])
        inside = slice(0, length)
        np.testing.assert_allclose(
            numpy(found.means)[b, inside], means[b], rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            numpy(found.standard_deviations)[b, inside] ** 2,
            variances,
            rtol=1e-3,
        )
        np.testing.assert_allclose(
            numpy(found.covariances)[b, inside],
            np.einsum("titj->tij", covariances[b]),
            rtol=1e-3,
            atol=1e-4,
        )
        np.testing.assert_allclose(
            numpy(found.log_evidence)[b],
            dense.log_evidence(
                arguments["observations"][b], arguments["mask"][b]
            ),
            rtol=1e-5,
        )
        samples = numpy(found.samples)[b, :, inside] - means[b]
        assert_mean_is(samples, 0.0, 0.0)
        products = np.einsum("sti,suj->stiuj", samples, samples)
        assert_mean_is(products, covariances[b], 1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("method", "lag"), [*PARTICLE_METHODS, ("exact", None)]
)
def test_each_sequence_is_smoothed_as_it_would_be_alone(method, lag):
    made, _ = linear_gaussian()
    arguments, bound = sequences(), kf.FIVO(6, "multinomial")
    smoother = Smoother(made.cell, method, bound, lag)
    noise = smoother.draw(STEPS, BATCH, 3, 1)
    together = made.smooth(
        arguments, method, 3, lag=lag, bound=bound, noise=noise
    )
    b, length = 1, LENGTHS[1]
    only, timed = slice(b, b + 1), slice(0, length)
    cut = keras.tree.map_structure(lambda x: x[only, timed], noise)
    if method == "ancestral":
        cut["smoothing"] = noise["smoothing"][only]
    alone = made.smooth(
        {
            name: x[only] if name == "lengths" else x[only, timed]
            for name, x in arguments.items()
        },
        method,
        3,
        lag=lag,
        bound=bound,
        noise=cut,
    )
    names = ["means", "standard_deviations", "samples"]
    # Exact samples come from the end of the padding: equal in law alone.
    for name in names[: 2 if method == "exact" else 3]:
        whole = numpy(getattr(together, name))[b]
        axis = 1 if name == "samples" else 0
        within, beyond = np.split(whole, [length], axis)
        np.testing.assert_allclose(
            within, numpy(getattr(alone, name))[0], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_array_equal(beyond, 0.0)


@pytest.mark.parametrize(("method", "lag"), PARTICLE_METHODS[:2])
def test_a_cell_whose_states_hold_the_whole_past_is_smoothed_too(method, lag):
    made = model(controls=True)
    found = made.smooth(examples.data(), method, 5, lag=lag, seed=0)
    again = made.smooth(examples.data(), method, 5, lag=lag, seed=0)
    other = made.smooth(examples.data(), method, 5, lag=lag, seed=1)
    shape = (examples.BATCH, 5, examples.STEPS, 2)
    assert numpy(found.samples).shape == shape
    np.testing.assert_array_equal(*numpy([found.samples, again.samples]))
    inside = np.arange(examples.STEPS) < examples.LENGTHS[:, None]
    assert (numpy(found.standard_deviations)[inside] > 0).all()
    assert not np.isin(numpy(found.means)[inside], numpy(other.means)).any()


class Impossible(GaussianChain):
    """A chain to which large observations cannot happen."""

    latents_are_markov = True

    def weigh(self, inputs, proposed):
        value = super().weigh(inputs, proposed)
        dead = inputs["observations"][:, 0] > 50
        return keras.ops.where(dead, -float("inf"), value)


@pytest.mark.parametrize(("method", "lag"), PARTICLE_METHODS)
def test_where_all_particles_died_nothing_is_told(method, lag):
    made = kf.LatentSequenceModel(Impossible(1), seed=0)
    x = np.zeros((2, 4, 1), "float32")
    x[1, 2] = 100.0
    found = made.smooth(x, method, 3, lag=lag)
    for name in ("samples", "means", "standard_deviations"):
        value = numpy(getattr(found, name))
        assert np.isfinite(value[0]).all()
        assert np.isnan(value[1]).all()
    assert numpy(found.log_evidence)[1] == -np.inf


def test_what_cannot_be_smoothed_is_refused_with_the_reason():
    made, x = model(), examples.data(controls=False)
    for method, reason in {
        "backward": "whole path.*Received: method='backward', cell=VRNNCell",
        "exact": "linear Gaussian.*Received: method='exact', cell=VRNNCell",
        "best": "'fixed_lag'.*Received: method='best'",
    }.items():
        with pytest.raises(ValueError, match=reason):
            made.smooth(x, method)
    for method, lag in (
        ("fixed_lag", None),
        ("fixed_lag", -1),
        ("fixed_lag", 1.5),
        ("fixed_lag", True),
        ("ancestral", 2),
    ):
        with pytest.raises(ValueError, match=f"Received: lag={lag}"):
            made.smooth(x, method, lag=lag)
    with pytest.raises(ValueError, match=r"blend.*Received: ancestors of"):
        made.smooth(x, bound=kf.FIVO(4, "relaxed"))
    with pytest.raises(ValueError, match="Received: num_samples=0"):
        made.smooth(x, num_samples=0)
    smoother = Smoother(made.cell, "ancestral", kf.FIVO(4))
    noise = smoother.draw(examples.STEPS, examples.BATCH, 2)
    with pytest.raises(ValueError, match="Received: 'smoothing' of"):
        made.smooth(x, num_samples=3, num_particles=4, noise=noise)
    with pytest.raises(ValueError, match="Received: 'latent' of shape"):
        made.smooth(x, num_samples=2, num_particles=5, noise=noise)
    with pytest.raises(ValueError, match=r"Received: noise with .'latent'"):
        made.smooth(x, num_samples=2, noise=noise["filter"])


def test_the_cells_say_whether_their_latents_are_markov():
    for markov in (kf.SRNNCell, kf.LinearGaussianCell, kf.GHMMCell):
        assert markov.latents_are_markov
    for other in (kf.LatentCell, kf.VRNNCell):
        assert not other.latents_are_markov
