import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.bounds import get_bound
from keras_fivo.inputs import prepare_inputs
from keras_fivo.noise import Noise
from tests.reference import gaussian_chain
from tests.reference.examples import BATCH, STEPS, data, numpy, vrnn
from tests.reference.gradients import gradients

RUNS, LENGTH = 4000, 5


def log_evidence(bound, cell, noise, arguments):
    return numpy(bound(cell, noise=noise, **arguments).log_evidence)


@pytest.mark.parametrize("criterion", ["effective_sample_size", "always"])
def test_fivo_with_one_particle_is_elbo(criterion):
    cell, arguments = vrnn(), data(mask="entries")
    fivo, elbo = kf.FIVO(1, criterion=criterion), kf.ELBO()
    noise = fivo.draw(cell, STEPS, BATCH, seed=0)
    np.testing.assert_allclose(
        log_evidence(fivo, cell, noise, arguments),
        log_evidence(elbo, cell, noise, arguments),
        rtol=1e-6,
    )


def test_fivo_without_resampling_is_iwae():
    cell, arguments = vrnn(), data(mask="entries")
    noise = kf.IWAE(4).draw(cell, STEPS, BATCH, seed=0)
    assert set(noise) == {"latent"}
    expected = log_evidence(kf.IWAE(4), cell, noise, arguments)
    never = kf.FIVO(4, criterion="never")
    assert set(never.draw(cell, STEPS, BATCH)) == {"latent"}
    found = log_evidence(never, cell, noise, arguments)
    np.testing.assert_array_equal(found, expected)
    # A criterion that never comes true goes another way to the same value.
    late = kf.FIVO(4, criterion=kf.AtSteps([STEPS]))
    noise["resampling"] = late.draw(cell, STEPS, BATCH, seed=0)["resampling"]
    found = log_evidence(late, cell, noise, arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_elbo_of_many_particles_is_the_mean_of_elbos():
    cell, arguments = vrnn(), data(mask="steps")
    noise = numpy(kf.ELBO(3).draw(cell, STEPS, BATCH, seed=0))
    alone = [
        log_evidence(
            kf.ELBO(),
            cell,
            {"latent": noise["latent"][:, :, i : i + 1]},
            arguments,
        )
        for i in range(3)
    ]
    found = log_evidence(kf.ELBO(3), cell, noise, arguments)
    np.testing.assert_allclose(found, np.mean(alone, 0), rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(
    "bound",
    [
        pytest.param(kf.ELBO(2), id="ELBO", marks=pytest.mark.one_backend),
        pytest.param(kf.IWAE(3), id="IWAE"),
    ],
)
def test_emissions_after_the_loop_equal_those_in_it(bound, dropout):
    cell = vrnn(dropout=dropout)
    inputs = prepare_inputs(data(mask="entries"), cell.center)
    noise = Noise.from_arrays(
        bound.draw(cell, STEPS, BATCH, seed=0, training=True)
    )
    results = [
        bound.run(cell, inputs, noise, keep_paths=keep)
        for keep in (True, False)
    ]
    for name in (
        "log_evidence",
        "log_weights",
        "effective_sample_size",
        "kl",
        "state",
    ):
        mine, theirs = (numpy(getattr(r, name)) for r in results)
        keras.tree.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
            mine,
            theirs,
        )
    assert results[1].latents is None
    assert results[1].ancestors is None
    if dropout:
        return
    mine, theirs = (
        gradients(
            lambda keep=keep: keras.ops.sum(
                bound.run(cell, inputs, noise, keep_paths=keep).log_evidence
            ),
            cell.trainable_variables,
        )
        for keep in (True, False)
    )
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def chain(proposing):
    chosen = gaussian_chain.ProposingChain if proposing else None
    cell = (chosen or gaussian_chain.GaussianChain)(1)
    cell.build((None, None, 1))
    return cell


def values(bound, proposing=True, mask=None):
    """Many independent values for one sequence, and its exact log evidence."""
    x = gaussian_chain.observations(LENGTH)
    arguments = {"observations": np.repeat(x[None], RUNS, 0)}
    if mask is not None:
        arguments["mask"] = np.repeat(mask[None], RUNS, 0)
    result = bound(chain(proposing), seed=5, **arguments)
    return numpy(result.log_evidence), gaussian_chain.log_evidence(x, mask)


UNBIASED = {
    "one particle": kf.ELBO(),
    "importance weights": kf.IWAE(4),
    "multinomial": kf.FIVO(4, "multinomial"),
    "stratified": kf.FIVO(4, "stratified", "always"),
    "systematic": kf.FIVO(4, "systematic", kf.AtSteps([1, 3])),
}


@pytest.mark.parametrize("name", UNBIASED)
def test_the_evidence_is_estimated_without_bias(name):
    found, exact = values(UNBIASED[name])
    ratios = np.exp(found - exact)
    error = ratios.std() / RUNS**0.5
    assert 0 < error < 0.05
    assert abs(ratios.mean() - 1) < 4 * error
    assert found.mean() < exact


def test_the_evidence_is_unbiased_with_missing_steps_and_the_transition():
    mask = np.array([True, False, True, True, True])
    found, exact = values(kf.FIVO(8), proposing=False, mask=mask)
    ratios = np.exp(found - exact)
    error = ratios.std() / RUNS**0.5
    assert 0 < error < 0.05
    assert abs(ratios.mean() - 1) < 4 * error


def test_the_gap_shrinks_with_particles():
    for kind in (kf.IWAE, kf.FIVO):
        gaps, errors = [], []
        for count in (1, 4, 16):
            found, exact = values(kind(count))
            gaps.append(exact - found.mean())
            errors.append(found.std() / RUNS**0.5)
        for i in range(2):
            assert gaps[i] - gaps[i + 1] > 4 * np.hypot(*errors[i : i + 2])
        assert gaps[2] > 0


def test_averaging_elbos_narrows_no_gap():
    one, exact = values(kf.ELBO())
    four, _ = values(kf.ELBO(4))
    error = np.hypot(one.std(), four.std()) / RUNS**0.5
    assert abs(one.mean() - four.mean()) < 4 * error
    assert four.std() < 0.6 * one.std()
    iwae, _ = values(kf.IWAE(4))
    assert four.mean() < iwae.mean() < exact


def test_bounds_are_known_by_name_and_rebuilt():
    for name, kind in (("elbo", kf.ELBO), ("iwae", kf.IWAE), ("fivo", kf.FIVO)):
        assert type(get_bound(name)) is kind
        bound = kind(7)
        config = keras.saving.serialize_keras_object(bound)
        twin = keras.saving.deserialize_keras_object(config)
        assert type(twin) is kind
        assert twin.num_particles == 7
        assert keras.saving.serialize_keras_object(twin) == config
    scheme = kf.FIVO(2, kf.Relaxed(0.3), kf.AtSteps([1]))
    twin = kf.FIVO.from_config(scheme.get_config())
    assert twin.scheme.temperature == 0.3
    assert twin.criterion.steps == [1]


@pytest.mark.parametrize("count", [0, -1, 2.5, "four", None, np.inf, np.nan])
def test_a_number_of_particles_must_be_a_count(count):
    for kind in (kf.ELBO, kf.IWAE, kf.FIVO):
        with pytest.raises(
            ValueError, match=f"Received: num_particles={count!r}"
        ):
            kind(count)


def test_unknown_bounds_are_refused():
    with pytest.raises(ValueError, match="Received: bound='nll'"):
        get_bound("nll")
    with pytest.raises(TypeError, match="Received: bound=3"):
        get_bound(3)
    with pytest.raises(ValueError, match="Received: evaluation_bound='x'"):
        get_bound("x", "evaluation_bound")


def test_noise_drawn_from_one_number_is_not_alike():
    noise = kf.FIVO(4, "multinomial").draw(chain(False), 50, 10, seed=0)
    latent = numpy(noise["latent"]).ravel()
    uniforms = numpy(noise["resampling"]).ravel()
    # Of 2,000 independent pairs: less than 4 standard errors.
    assert abs(np.corrcoef(latent, uniforms)[0, 1]) < 0.09
