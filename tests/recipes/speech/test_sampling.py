"""Sounds and bounds of a tiny model."""

import json
import math
import types
import wave

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.cli import main
from recipes.errors import RecipeError
from recipes.sounds import write_wav
from recipes.speech import sampling
from recipes.speech.audio import open_recording
from recipes.speech.plots import spectrogram
from recipes.speech.recipe import Speech
from recipes.training.trained import load_trained
from tests.recipes.speech_examples import prepare_quietly, voices

recipe = Speech()
SIZE = 80
SMALL = [
    "latent_dim=2",
    "units=3",
    "batch_size=4",
    "num_buckets=1",
    "num_particles=2",
    "evaluation_particles=2",
    "tensorboard=false",
]


@pytest.fixture(autouse=True)
def _two_predictions_at_a_time(monkeypatch):
    monkeypatch.setattr(sampling, "_BUDGET", 80)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two updates on clips."""
    folder = tmp_path_factory.mktemp("sampling")
    voices(folder / "voices", 24)
    prepare_quietly(folder / "voices", folder / "out.h5", samples_per_step=SIZE)
    argv = ["fit", "speech", f"data_path={folder / 'out.h5'}", "updates=2"]
    argv += ["clip_seconds=0.05", f"run={folder / 'run'}"]
    assert main([*argv, *SMALL]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def trained(run):
    return load_trained(recipe.sample_settings.changed(run=str(run)))


@pytest.fixture
def sounds(trained, tmp_path):
    pytest.importorskip("matplotlib")
    settings = recipe.sample_settings.changed(
        prefix_length=3,
        sample_length=4,
        num_samples=2,
        num_prefixes=2,
        num_particles=3,
        output=str(tmp_path / "sounds"),
    )
    return sampling.sample(trained, settings)


def test_sounds_are_written_as_wav_files_and_pictures(trained, sounds):
    files = {path.name: path for path in sounds}
    assert len(files) == len(sounds) and all(p.is_file() for p in sounds)
    for name in ("samples", "continuations", "predictions"):
        content = files.pop(f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 5000
    arrays = dict(np.load(files.pop("samples.npz"), allow_pickle=False))
    assert arrays["samples"].shape == (2, 4, SIZE)
    assert arrays["continuations"].shape == (2, 2, 4, SIZE)
    # Two from nothing; of each recording itself, two continuations, a
    # prediction and what it predicts.
    assert len(files) == 2 + 2 * 5
    names = trained.sequences.recordings.names("test")
    title = names[0].removesuffix(".wav").replace("/", "-")
    with wave.open(str(files[f"{title}-continuation-1.wav"])) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        assert shape == (1, 2, 8000)
        heard = np.frombuffer(file.readframes(7 * SIZE), "<i2")
    original = trained.sequences.recordings.read("test", 0, 3 * SIZE)
    np.testing.assert_array_equal(heard[: 3 * SIZE], original)
    made = sampling.to_samples(
        arrays["continuations"][0, 1], trained.sequences.recordings.attributes
    )
    np.testing.assert_array_equal(heard[3 * SIZE :], made)


def test_a_prefix_must_be_shorter_than_a_recording(trained):
    settings = recipe.sample_settings.changed(
        prefix_length=999, sample_length=4, num_samples=2
    )
    with pytest.raises(RecipeError, match="Received: prefix_length=999"):
        sampling.sample(trained, settings)


def test_a_prediction_sees_no_later_step(trained):
    steps = np.asarray(trained.sequences.split("test")[0])[:7]
    changed = steps.copy()
    changed[3:] += 1.0
    found = [
        sampling.predict_steps(trained.model, one, 3, seed=0)
        for one in (steps, changed)
    ]
    (means, quantiles), (other, _) = found
    assert means.shape == (6, SIZE) and quantiles.shape == (2, 6, SIZE)
    assert (quantiles[0] < quantiles[1]).all()
    # Row t is the prediction of step t + 1, from the steps 0 to t.
    np.testing.assert_array_equal(means[:3], other[:3])
    assert (means[3:] != other[3:]).any(axis=1).all()


def test_samples_become_sixteen_bits(tmp_path):
    attributes = {"mean": -3.0, "deviation": 100.0}
    raw = np.array([-(2**15), -3, 0, 7, 2**15 - 1], "int16")
    steps = (raw - np.float64(-3)) / 100
    loud = np.concatenate([steps, [9e5, -9e5]])
    found = sampling.to_samples(loud, attributes)
    np.testing.assert_array_equal(found[:-2], raw)
    np.testing.assert_array_equal(found[-2:], [2**15 - 1, -(2**15)])
    write_wav(tmp_path / "sound.wav", found, 11025)
    recording = open_recording(tmp_path / "sound.wav")
    assert recording.rate == 11025
    np.testing.assert_array_equal(np.concatenate([*recording.blocks()]), found)


def test_a_spectrogram_shows_a_sine_where_it_is():
    rate, frequency = 8000, 1000
    samples = np.sin(2 * np.pi * frequency * np.arange(rate // 4) / rate)
    decibels, seconds = spectrogram(samples, rate)
    assert len(seconds) == decibels.shape[1] + 1
    middle = decibels[:, decibels.shape[1] // 2]
    bins = np.linspace(0, rate / 2, len(middle))
    assert bins[middle.argmax()] == frequency
    assert middle.max() == pytest.approx(0, abs=0.01)
    assert abs(seconds[-1] - 0.25) < 0.01


def test_evaluate_tells_bounds_beside_simple_predictors(run, capsys):
    assert main(["evaluate", str(run), "num_particles=2"]) == 0
    printed = capsys.readouterr().out
    content = json.loads((run / "evaluation-test.json").read_text())
    assert set(content["sixteen_bit"]) == {
        *("ELBO", "IWAE", "FIVO"),
        *("linear prediction", "white noise"),
    }
    gain = content["nats_to_sixteen_bit"]
    for name, values in content["bounds"].items():
        found = content["sixteen_bit"][name.upper()]
        assert found == pytest.approx(values["bound_per_step"] + gain)
        assert f"{found:.3f}" in printed
    assert content["baseline"]["name"] == "linear prediction"


@pytest.mark.parametrize("is_density", [True, False])
def test_bounds_are_told_in_nats_of_sixteen_bits(trained, capsys, is_density):
    head = kf.NormalHead() if is_density else kf.QuantizedNormalHead()
    model = types.SimpleNamespace(cell=types.SimpleNamespace(emission=head))
    other = types.SimpleNamespace(model=model, sequences=trained.sequences)
    content = recipe.after_evaluation(
        other,
        types.SimpleNamespace(split="test"),
        {"bounds": {"elbo": {"bound_per_step": -50.0}}},
    )
    deviation = trained.sequences.recordings.attributes["deviation"]
    gain = -SIZE * math.log(deviation)
    assert content["nats_to_sixteen_bit"] == pytest.approx(gain)
    found = content["sixteen_bit"]
    assert found["ELBO"] == pytest.approx(-50 + gain * is_density)
    name, value = recipe.baseline(trained.sequences, "test")
    assert found[name] == pytest.approx(value + gain)
    assert f"{found['ELBO']:.3f}" in capsys.readouterr().out


def test_a_gain_is_what_a_density_loses_by_the_change_of_units(trained):
    # log p(x) = log p(z) - log deviation by sample, for z = (x - m) / d.
    mean, deviation = 3.0, 1000.0
    raw = np.linspace(-2000, 2000, SIZE)[None]
    normal = kf.Normal(np.full((1, SIZE), mean), np.full((1, SIZE), deviation))
    scaled = kf.Normal(np.zeros((1, SIZE)), np.ones((1, SIZE)))
    one = keras.ops.convert_to_numpy(normal.log_prob(raw))
    other = scaled.log_prob(((raw - mean) / deviation).astype("float32"))
    other = keras.ops.convert_to_numpy(other)
    np.testing.assert_allclose(one, other - SIZE * math.log(deviation), 1e-5)
