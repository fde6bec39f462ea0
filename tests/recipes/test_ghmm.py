"""The recipe of the Gaussian chain."""

import dataclasses
import types

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.errors import RecipeError
from recipes.experiments.gap_measurement import Gap, exact_values, measure
from recipes.experiments.gaps import GapSettings, table, verdict
from recipes.ghmm.data import Chains, Process
from recipes.ghmm.models import build_cell, exact_log_evidence
from recipes.ghmm.recipe import GaussianChain
from recipes.settings.common import EvaluateSettings
from recipes.training.evaluation import evaluate_bounds

recipe = GaussianChain()
SMALL = recipe.fit_settings(
    num_steps=5,
    num_sequences=12,
    batch_size=3,
    num_particles=2,
    evaluation_particles=4,
)
# The tag of the original's data, and the process that it stands for.
ORIGINAL = {
    "ghmm_runner": Process(extra_latent=True),
    "every2": Process(
        steps_per_observation=2,
        transition_variance=1.0,
        observation_variance=1.0,
        extra_latent=True,
    ),
    "abs": Process(
        observation_type="abs",
        transition_variance=0.5,
        observation_variance=2.0,
        extra_latent=True,
    ),
    "round_squared": Process(
        transition_type="round",
        observation_type="squared",
        steps_per_observation=2,
        transition_variance=1.0,
        observation_variance=1.0,
        extra_latent=True,
    ),
}


@pytest.mark.parametrize("tag", ORIGINAL)
def test_the_data_are_those_of_the_original(golden, tag):
    file = golden("datasets")
    state = np.random.RandomState(1234)
    for batch in (0, 1):
        wanted = file[f"chain/{tag}/batch{batch}/observations"]
        steps, sequences, _ = wanted.shape
        size = ORIGINAL[tag].noise_size(steps)
        _, found = ORIGINAL[tag].simulate(state.normal(size=(sequences, size)))
        np.testing.assert_allclose(
            found.swapaxes(0, 1), wanted, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(
    ("transition", "observation"), [("standard", "abs"), ("round", "squared")]
)
def test_a_process_is_what_a_loop_makes(transition, observation):
    process = Process(
        transition_type=transition,
        observation_type=observation,
        steps_per_observation=2,
        transition_variance=0.5,
        observation_variance=0.3,
    )
    noise = np.random.default_rng(0).standard_normal((4, 7)) * 2
    latents, observations = process.simulate(noise)
    for row in range(4):
        z = 0.0
        for step in range(2):
            for e in noise[row, 1 + 3 * step : 3 + 3 * step]:
                z = (round(z) if transition == "round" else z) + 0.5**0.5 * e
            x = abs(z) if observation == "abs" else z * z
            x += 0.3**0.5 * noise[row, 3 + 3 * step]
            np.testing.assert_allclose(latents[row, step, 0], z, rtol=1e-5)
            np.testing.assert_allclose(observations[row, step, 0], x, rtol=1e-5)


@pytest.mark.parametrize("extra_latent", [False, True])
def test_data_and_model_agree(extra_latent):
    """The log evidence is that of the covariance that the data have."""
    process = Process(
        steps_per_observation=2,
        transition_variance=0.3,
        observation_variance=0.4,
        extra_latent=extra_latent,
    )
    size = process.noise_size(4)
    _, observations = process.simulate(np.eye(size))
    mixing = observations[:, :, 0].T.astype("float64")
    covariance = mixing @ mixing.T
    values = np.random.default_rng(1).standard_normal((3, 4, 1))
    model = kf.LatentSequenceModel(build_cell(process, "transition"))
    found = exact_log_evidence(model, values.astype("float32"))
    flat = values[:, :, 0]
    wanted = -0.5 * (
        np.einsum("bi,ij,bj->b", flat, np.linalg.inv(covariance), flat)
        + np.linalg.slogdet(2 * np.pi * covariance)[1]
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_splits_differ_and_the_seed_tells_one_data_set_from_another():
    chains = Chains(Process(), 5, 12, seed=0)
    assert [len(chains.split(x)) for x in ("train", "valid", "test")] == [
        12,
        3,
        3,
    ]
    assert not np.array_equal(chains.split("valid"), chains.split("test"))
    assert chains.digest() == Chains(Process(), 5, 12, seed=0).digest()
    assert chains.digest() != Chains(Process(), 5, 12, seed=1).digest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transition_type": "cubed"}, "transition_type='cubed'"),
        ({"observation_type": "log"}, "observation_type='log'"),
        ({"steps_per_observation": 0}, "steps_per_observation=0"),
        ({"transition_variance": 0.0}, "transition_variance=0.0"),
        ({"observation_variance": float("nan")}, "observation_variance=nan"),
    ],
)
def test_a_process_that_there_is_not_is_refused(change, message):
    with pytest.raises(RecipeError, match=f"Received: {message}"):
        Process(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proposal": "exact_filtering"}, "proposal='exact_filtering'"),
        ({"data_path": "chain.npz"}, "data_path='chain.npz'"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    settings = SMALL.changed(**change)
    with pytest.raises(RecipeError, match=f"Received: {message}"):
        data = recipe.load(settings)
        recipe.build_model(settings, data, recipe.train_batches(data, settings))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model, and what `load_trained` would say of it."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("chain")
    settings = SMALL.changed(run=str(folder), learn_model=True, updates=8)
    data = recipe.load(settings)
    train = recipe.train_batches(data, settings)
    valid = recipe.evaluation_batches(data.split("valid"), 4)
    model = recipe.build_model(settings, data, train)
    history = model.fit(
        train,
        validation_data=valid,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=recipe.callbacks(model, data, settings),
    )
    return types.SimpleNamespace(
        model=model,
        sequences=data,
        trained_with=settings,
        folder=folder,
        logs=history.history,
    )


def test_the_gap_in_the_logs_is_the_exact_log_evidence_less_the_bound(trained):
    logs = trained.logs
    np.testing.assert_allclose(
        np.subtract(logs["exact_per_step"], logs["val_bound_per_step"]),
        logs["gap_per_step"],
        rtol=1e-6,
    )
    # The chain is learned: what is exact changes with it.
    assert logs["exact_per_step"][0] != logs["exact_per_step"][1]
    observations = np.stack(trained.sequences.split("valid"))
    exact = keras.ops.convert_to_numpy(
        trained.model.cell.exact(observations).log_evidence
    )
    np.testing.assert_allclose(
        logs["exact_per_step"][-1], exact.sum() / observations.size, rtol=1e-5
    )


def test_evaluation_tells_gaps_and_log_weights_by_step(trained, capsys):
    settings = EvaluateSettings(run="here", split="valid", num_particles=4)
    batches = recipe.evaluation_batches(trained.sequences.split("valid"), 4)
    bounds = evaluate_bounds(
        trained.model, batches, 4, trained.trained_with, 0, say=print
    )
    content = {"bounds": bounds, "steps": 15, "sequences": 3}
    content = recipe.after_evaluation(trained, settings, content)
    exact = content["exact"]["log_evidence_per_step"]
    np.testing.assert_allclose(exact, trained.logs["exact_per_step"][-1])
    for values in content["bounds"].values():
        assert values["gap_per_step"] == exact - values["bound_per_step"]
    steps = content["steps_of"]
    assert not any(steps["iwae"]["resampling_rate"])
    assert any(steps["fivo"]["resampling_rate"])
    assert all(x > 0 for x in steps["iwae"]["log_weight_variance"])
    # What varies adds up where nothing is resampled.
    variances = steps["iwae"]["log_weight_variance"]
    assert len(variances) == 5 and variances[-1] > variances[0]
    assert "step 5" in capsys.readouterr().out


def test_samples_are_pictures_and_arrays(trained, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    settings = recipe.sample_settings.changed(
        run="here",
        split="valid",
        output=str(tmp_path),
        num_prefixes=1,
        prefix_length=3,
        sample_length=2,
        num_samples=4,
        num_particles=4,
        lag=1,
    )
    arrays, image = recipe.sample(trained, settings)
    assert image.read_bytes()[:4] == b"\x89PNG"
    with np.load(arrays) as found:
        assert found["prefixes"].shape == (1, 3, 1)
        assert found["samples"].shape == (1, 4, 2)
        assert np.isfinite(found["samples"]).all()
    long = settings.changed(sample_length=9)
    with pytest.raises(RecipeError, match="Received: prefix_length=3"):
        recipe.sample(trained, long)


def test_no_gap_under_the_exact_smoothing_proposal():
    settings = GapSettings(max_particles=4, sequences=3)
    chains = Chains(Process(), 5, 12)
    observations = np.stack(chains.split("test"))
    exact = exact_values(chains, observations)
    model = kf.LatentSequenceModel(
        build_cell(chains.process, "exact_smoothing"), seed=0
    )
    for bound in ("elbo", "iwae"):
        found = measure(
            model, bound, "exact_smoothing", observations, exact, settings
        )
        assert [gap.num_particles for gap in found] == [1, 2, 4]
        for gap in found:
            assert abs(gap.mean) <= gap.rounding
            assert gap.excess == 0
    assert "1 standard error: 0" in verdict(found)


def test_a_mean_above_the_log_evidence_is_reported():
    gap = Gap("iwae", "filtering", 1, mean=-0.3, error=0.1, rounding=0.05)
    np.testing.assert_allclose(gap.excess, 2.5)
    text = verdict([gap, dataclasses.replace(gap, mean=0.3)])
    assert "by more than 2: 1; by more than 3: 0" in text
    assert "IWAE, filtering, 1 particles: 0.30000 above" in text
    settings = GapSettings(
        bounds=("iwae",), proposals=("filtering",), max_particles=1
    )
    assert "| 1 | -0.3000 ± 0.1000 |" in table([gap], settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proposals": ("filtering", "best")}, "proposals with 'best'"),
        ({"max_particles": 12}, "max_particles=12"),
    ],
)
def test_a_measurement_that_there_is_not_is_refused(change, message):
    with pytest.raises(RecipeError, match=f"Received: {message}"):
        GapSettings(**change)
