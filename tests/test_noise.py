"""All random numbers of a pass: their form, and a proposal with its own."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.noise import Noise
from keras_fivo.testing import check_proposal
from tests.reference.examples import numpy

STEPS, BATCH, PARTICLES, DRAWS = 4, 3, 5, 2
ops = keras.ops


@keras.saving.register_keras_serializable(package="tests")
class Shifted(kf.Proposal):
    """The transition, moved by its own noise and by log p(x_t | z_t)."""

    def noise_shape(self, latent_shape):
        return (DRAWS, *latent_shape)

    def distribution(self, context, present, transition):
        return transition

    def refine(self, proposal, transition, present, noise, log_emission, *_):
        # At fixed latents, so that the value is easily computed again.
        shift = log_emission(ops.zeros_like(noise[:, 0]))
        loc = proposal.loc + ops.sum(noise, 1) + 0.1 * shift[:, None]
        return kf.Refinement(kf.Normal(loc, proposal.scale))


def chain(**options):
    parameters = {"transition_matrix": [[0.5]], "emission_matrix": [[2.0]]}
    cell = kf.LinearGaussianCell(1, parameters, **options)
    cell.build((None, None, 1))
    return cell


def observations():
    generator = np.random.default_rng(0)
    return generator.standard_normal((BATCH, STEPS, 1)).astype("float32")


def test_a_proposal_with_noise_of_its_own_equals_the_loop():
    cell, x, bound = chain(proposal=Shifted()), observations(), kf.IWAE(5)
    noise = numpy(bound.draw(cell, STEPS, BATCH, seed=1))
    assert noise["proposal"].shape == (BATCH, STEPS, PARTICLES, DRAWS, 1)
    result = bound(cell, x, noise=noise)
    latent, log_weights = np.zeros((BATCH, PARTICLES)), 0.0
    for t in range(STEPS):
        # log N(x_t; 2 * 0, 1), of the latents that the proposal asks for
        shift = -0.5 * (x[:, t] ** 2 + np.log(2 * np.pi))
        mean, loc = 0.5 * latent, noise["proposal"][:, t].sum((2, 3))
        eps = noise["latent"][:, t, :, 0]
        latent = mean + loc + 0.1 * shift + eps
        # log p(z_t) - log q(z_t) + log p(x_t | z_t), all of variance 1
        log_weights = log_weights + 0.5 * (eps**2 - (latent - mean) ** 2)
        residual = x[:, t] - 2 * latent
        log_weights -= 0.5 * (residual**2 + np.log(2 * np.pi))
        found = numpy(result.latents)[:, t, :, 0]
        np.testing.assert_allclose(found, latent, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        numpy(result.log_weights)[:, -1], log_weights, rtol=1e-4, atol=1e-4
    )


def test_pieces_and_steps_take_their_own_part_of_the_noise():
    model = kf.LatentSequenceModel(chain(proposal=Shifted()), kf.FIVO(5))
    x = observations()
    noise = numpy(model.bound.draw(model.cell, STEPS, BATCH, seed=1))
    whole, state = model.filter(x, noise=noise), None
    for t in range(STEPS):
        part = {name: x[:, t : t + 1] for name, x in noise.items()}
        state, result = model.step(x[:, t], state, part)
    np.testing.assert_allclose(
        numpy(result.log_evidence), numpy(whole.log_evidence), rtol=1e-5
    )


@pytest.mark.one_backend
def test_a_proposal_with_noise_of_its_own_is_held_to_the_contract():
    check_proposal(Shifted(), chain(), observations())


def test_noise_without_that_of_the_proposal_is_refused():
    model = kf.LatentSequenceModel(chain(proposal=Shifted()), kf.IWAE(5))
    noise = model.bound.draw(model.cell, STEPS, BATCH, seed=1)
    del noise["proposal"]
    with pytest.raises(ValueError, match="Received: 'proposal'"):
        model.filter(observations(), noise=noise)
    with pytest.raises(ValueError, match="Received: 'proposal'"):
        model.bound(model.cell, observations(), noise=noise)


def test_other_fields_are_as_without_it():
    plain, own = (
        numpy(kf.FIVO(5).draw(chain(**x), STEPS, BATCH, seed=1))
        for x in ({}, {"proposal": Shifted()})
    )
    assert set(own) - set(plain) == {"proposal"}
    for name, value in plain.items():
        np.testing.assert_array_equal(own[name], value)


def test_users_form_and_back_again():
    cell = kf.VRNNCell(2, dropout=0.1)
    cell.build((None, None, 3))
    arrays = kf.FIVO(5).draw(cell, STEPS, BATCH, seed=1, training=True)
    inside = Noise.from_arrays(arrays)
    assert tuple(inside.latent.shape) == (STEPS, BATCH, PARTICLES, 2)
    assert tuple(inside.dropout["data"].shape) == (BATCH, 2)
    assert inside.emission is None
    keras.tree.map_structure(
        lambda x, y: np.testing.assert_array_equal(numpy(x), numpy(y)),
        inside.arrays(),
        arrays,
    )


def test_names_that_are_no_fields_are_refused():
    noise = kf.IWAE(5).draw(chain(), STEPS, BATCH, seed=1)
    with pytest.raises(ValueError, match=r"noise with \['latents'\]"):
        kf.IWAE(5)(chain(), observations(), noise={**noise, "latents": 0.0})
