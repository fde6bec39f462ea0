"""What the verbs call, on small recordings."""

import itertools
import math
import subprocess

import numpy as np
import pytest
from scipy import stats

import keras_fivo as kf
from recipes.errors import RecipeError
from recipes.settings.base import choices_of
from recipes.speech import digits
from recipes.speech.baselines import linear_prediction, white_noise
from recipes.speech.config import FitSettings
from recipes.speech.loading import load_speech
from recipes.speech.recipe import Speech
from recipes.training.modelling import build_cell
from tests.recipes.speech_examples import (
    noise,
    prepare_quietly,
    voices,
    wav_bytes,
    write,
)

recipe = Speech()
EMISSIONS = choices_of(FitSettings.model_fields["emission"].annotation)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    voices(folder / "voices", 24)
    prepare_quietly(folder / "voices", folder / "out.h5", samples_per_step=80)
    return folder / "out.h5"


def settings(**given):
    return recipe.fit_settings("speech", **given)


def write_digits(folder, takes=8):
    for digit, take in itertools.product(range(3), range(takes)):
        content = wav_bytes(noise(900 + 50 * take, seed=10 * digit + take))
        write(folder / f"{digit}_ada_{take}.wav", content)
    return folder


def test_training_takes_clips_and_testing_whole_recordings(prepared):
    data = recipe.load(settings(data_path=str(prepared)))
    whole = data.split("train")
    for given, longest in (
        ({"clip_seconds": None}, whole.lengths.max()),
        ({"clip_seconds": 0.05}, 5),
        ({"chunk_length": 3}, 3),
    ):
        batches = recipe.train_batches(data, settings(batch_size=4, **given))
        longest_shown = max(batch["mask"].sum(1).max() for batch in batches)
        steps = sum(batch["mask"].sum() for batch in batches)
        assert (longest_shown, steps) == (longest, whole.lengths.sum())
    assert recipe.fit_settings("timit").clip_seconds == 0.5
    assert recipe.fit_settings("digits").clip_seconds is None


def test_each_emission_is_known_by_name(prepared):
    data = recipe.load(settings(data_path=str(prepared)))
    heads = [
        recipe.emission(settings(emission=name, min_scale=0.25), data)
        for name in EMISSIONS
    ]
    assert len({type(head) for head in heads}) == len(EMISSIONS) == 7
    scales = [getattr(head, "min_scale", 0.25) for head in heads]
    assert scales == [0.25] * len(EMISSIONS)


def test_quantized_emissions_sit_on_the_sixteen_bit_values(prepared):
    data = recipe.load(settings(data_path=str(prepared)))
    steps = data.split("valid")[0]
    raw = data.recordings.read("valid", 0, 80)
    head = recipe.emission(settings(emission="quantized_normal"), data)
    lattice = (steps[0] - head.offset) / head.width
    np.testing.assert_allclose(lattice, raw, atol=2e-3)
    head = recipe.emission(
        settings(emission="discretized_logistic_mixture"), data
    )
    bins = (head.high - head.low) / (head.num_bins - 1)
    np.testing.assert_allclose(
        (steps[0] - head.low) / bins - 2**15, raw, atol=5e-2
    )


def test_a_refined_proposal_of_speech_is_built_from_settings(prepared):
    chosen = settings(
        data_path=str(prepared),
        emission="quantized_normal",
        proposal="iterative",
        num_iterations=2,
        update="learned_sgd",
        update_units=(5,),
        normalize_mean=True,
        latent_dim=2,
        units=3,
    )
    data = recipe.load(chosen)
    cell = build_cell(chosen, recipe.emission(chosen, data))
    cell.build((None, None, 80))
    assert isinstance(cell.emission, kf.QuantizedNormalHead)
    proposal = cell.proposal
    assert isinstance(proposal.update, kf.LearnedSGDUpdate)
    assert proposal.num_iterations == 2 and proposal.update.normalize_mean


def test_white_noise_is_the_standard_normal(prepared):
    data = recipe.load(settings(data_path=str(prepared)))
    steps = np.concatenate(list(data.split("test"))).astype("float64")
    expected = stats.norm.logpdf(steps).sum() / len(steps)
    assert white_noise(data, "test") == pytest.approx(expected, rel=1e-9)


def test_linear_prediction_finds_what_made_the_data():
    generator = np.random.default_rng(0)
    samples = generator.normal(0, 0.5, 40_000)
    for t in range(2, len(samples)):
        samples[t] += 1.2 * samples[t - 1] - 0.5 * samples[t - 2]

    class Data:
        def split(self, name):
            return [samples.reshape(-1, 20).astype("float32")]

    # Of 20 samples, each a Normal of deviation 0.5 given those before it.
    entropy = 20 * 0.5 * math.log(2 * math.pi * math.e * 0.25)
    error = 20 / math.sqrt(2 * len(samples))  # of the mean of squares
    assert abs(linear_prediction(Data(), "test", 2) + entropy) < 4 * error


def test_recordings_are_prepared_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_FIVO_CACHE", str(tmp_path / "cache"))
    source = write_digits(tmp_path / "recordings")
    first = load_speech("digits", source)
    assert "8 train / 1 valid / 15 test" in capsys.readouterr().out
    again = load_speech("digits", source)
    assert again.path == first.path and not capsys.readouterr().out
    assert first.path.parent == tmp_path / "cache" / "speech"
    write(source / "9_bob_7.wav", wav_bytes(noise(700)))
    other = load_speech("digits", source, show_progress=False)
    assert other.path != first.path and other.digest() != first.digest()
    assert load_speech("speech", first.path).digest() == first.digest()


def test_what_is_missing_is_told(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FIVO_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"speech. Received: data='timit'"):
        load_speech("timit", prepared)
    with pytest.raises(FileNotFoundError, match="Received: data_path="):
        load_speech("digits", tmp_path / "none")
    with pytest.raises(RecipeError, match="any prepared file"):
        load_speech("speech")
    with pytest.raises(RecipeError, match="corpus=timit source=FOLDER"):
        load_speech("timit")


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_the_digits_are_fetched_by_the_name_of_their_content(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_FIVO_CACHE", str(tmp_path / "cache"))
    write_digits(tmp_path / "remote" / "recordings")
    try:
        git(tmp_path / "remote", "init", "--quiet")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    git(tmp_path / "remote", "add", ".")
    git(tmp_path / "remote", "commit", "--quiet", "-m", "digits")
    commit = git(tmp_path / "remote", "rev-parse", "HEAD")
    address = (tmp_path / "remote").as_uri()
    monkeypatch.setattr(digits, "REPOSITORY", address)
    with pytest.raises(OSError, match=r"check out 26eb9aaf.*put it at .*cache"):
        load_speech("digits", show_progress=False)
    assert not any((tmp_path / "cache" / "speech").iterdir())
    monkeypatch.setattr(digits, "COMMIT", commit)
    speech = load_speech("digits", show_progress=False)
    assert speech.path == tmp_path / "cache" / "speech" / "digits.h5"
    assert len(speech.split("test")) == 15
