"""`evaluate`, `sample`, `tune` and `demo` on small data."""

import json

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.cli import main
from recipes.data.batches import evaluation_batches
from recipes.pianoroll.data import independent_notes_baseline, load
from recipes.training.run_folder import RunFolder
from tests.recipes.cli_examples import SMALL, fit, write_songs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("verbs")
    songs = write_songs(folder / "songs.npz")
    assert fit(songs, folder / "run", "updates=4", "validate_every=3") == 0
    return folder / "run"


def test_evaluate_prints_three_bounds_beside_the_baseline(run, capsys):
    assert main(["evaluate", str(run), "num_particles=3"]) == 0
    printed = capsys.readouterr().out
    for word in ("ELBO", "IWAE", "FIVO", "independent notes", "per sequence"):
        assert word in printed
    content = json.loads((run / "evaluation-test.json").read_text())
    assert content["sequences"] == 3 and content["steps"] == 23
    songs = load("jsb", run.parent / "songs.npz")
    baseline = content["baseline"]
    assert baseline["bound_per_step"] == independent_notes_baseline(songs)
    for values in (*content["bounds"].values(), baseline):
        ratio = values["bound_per_sequence"] / values["bound_per_step"]
        assert ratio == pytest.approx(23 / 3, rel=1e-4)
    assert f"{content['bounds']['fivo']['bound_per_step']:.3f}" in printed


def test_evaluate_draws_its_noise_with_numpy(run):
    argv = ["evaluate", str(run), "split=valid", "num_particles=2", "seed=5"]
    assert main(argv) == 0
    content = json.loads((run / "evaluation-valid.json").read_text())
    # Song by song, as each batch draws noise of its own.
    model = keras.saving.load_model(run / "best.keras")
    songs = load("jsb", run.parent / "songs.npz").split("valid")
    batches = evaluation_batches(songs, 2, model.cell.latent_dim)
    evidence = []
    for index in range(len(batches)):
        inputs = batches[index]
        batch, steps = inputs["observations"].shape[:2]
        generator = np.random.default_rng([5, index])
        bound = kf.FIVO(2)
        noise = bound.draw(model.cell, steps, batch, generator)
        found = model.filter(inputs, bound=bound, noise=noise)
        evidence.extend(keras.ops.convert_to_numpy(found.log_evidence))
    per_step = np.sum(evidence) / sum(map(len, songs))
    found = content["bounds"]["fivo"]["bound_per_step"]
    assert found == pytest.approx(per_step, rel=1e-5)
    # The validation of `fit`, but for noise.
    best = RunFolder(run).read_record()["best"]
    assert found == pytest.approx(best, rel=0.1)


def test_evaluate_reads_a_model_file_of_named_data(run, tmp_path):
    model = tmp_path / "copy.keras"
    model.write_bytes((run / "best.keras").read_bytes())
    output = tmp_path / "bounds.json"
    argv = ["evaluate", str(model), "data=jsb", "num_particles=2"]
    argv += [f"data_path={run.parent / 'songs.npz'}", f"output={output}"]
    assert main(argv) == 0
    assert set(json.loads(output.read_text())["bounds"]) == {
        "elbo",
        "iwae",
        "fivo",
    }


@pytest.mark.parametrize("prefix_length", [3, 0])
def test_sample_writes_arrays_midi_and_a_picture(run, tmp_path, prefix_length):
    pytest.importorskip("mido")
    pytest.importorskip("matplotlib")
    settings = ["num_prefixes=2", "num_samples=2", "sample_length=5"]
    settings += [f"prefix_length={prefix_length}", "num_particles=4"]
    written = []
    for name in ("one", "two"):
        output = tmp_path / name
        argv = ["sample", str(run), *settings, f"output={output}"]
        assert main(argv) == 0
        with np.load(output / "samples.npz") as file:
            written.append((file["prefixes"], file["samples"]))
    prefixes, samples = written[0]
    count = 2 if prefix_length else 1
    assert samples.shape == (count, 2, 5, 88)
    assert set(np.unique(samples)) <= {0, 1}
    assert prefixes.shape == (count, prefix_length, 88)
    songs = load("jsb", run.parent / "songs.npz")
    for prefix, song in zip(prefixes, songs.test, strict=False):
        np.testing.assert_array_equal(prefix, song[:prefix_length])
    np.testing.assert_array_equal(samples, written[1][1])
    for suffix in ("mid", "wav"):
        assert len(list(output.glob(f"*.{suffix}"))) == 2 * count
    assert (output / "rolls.png").read_bytes().startswith(b"\x89PNG")


def test_sample_refuses_prefixes_that_are_too_long(run, tmp_path, capsys):
    argv = ["sample", str(run), "prefix_length=50", f"output={tmp_path / 'x'}"]
    assert main(argv) == 2
    assert "the longest has 11" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


class KilledError(BaseException):
    """Not an Exception: KerasTuner would take it for a failed trial."""


@pytest.mark.parametrize(
    "algorithm",
    [
        "random",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("bayesian", "hyperband")
        ),
    ],
)
def test_a_search_goes_on_after_it_was_killed(
    algorithm, run, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("keras_tuner")
    if keras.backend.backend() == "tensorflow":
        pytest.importorskip("tensorboard")
    if algorithm == "bayesian":
        pytest.importorskip("sklearn")
    from recipes.training.hypermodel import RecipeHyperModel

    folder = tmp_path / "search"
    argv = ["tune", "jsb", f"data_path={run.parent / 'songs.npz'}", *SMALL]
    argv += [f"run={folder}", "trials=2", "updates=4"]
    argv += [f"algorithm={algorithm}", "search=learning_rate,bound"]
    fit_trial, started = RecipeHyperModel.fit, []

    def fit_and_die(self, hp, *args, **kwargs):
        started.append(dict(hp.values))
        history = fit_trial(self, hp, *args, **kwargs)
        if len(started) == 2:
            raise KilledError
        return history

    monkeypatch.setattr(RecipeHyperModel, "fit", fit_and_die)
    with pytest.raises(KilledError):
        main(argv)
    assert not (folder / "best.keras").exists()
    assert main(argv) == 0
    # The first trial is not run again; the second, cut off, is.
    assert started[2] == started[1] and started[0] not in started[1:]
    rows = json.loads((folder / "trials.json").read_text())
    assert len(rows) == len(started) - 1
    scores = [row["val_bound_per_step"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert "nats/step" in capsys.readouterr().out
    argv = ["evaluate", str(folder), "split=valid", "num_particles=2"]
    assert main(argv) == 0
    content = json.loads((folder / "evaluation-valid.json").read_text())
    found = content["bounds"]["fivo"]["bound_per_step"]
    # But for noise.
    assert found == pytest.approx(scores[0], rel=0.02)


def test_demo_ends_with_a_model_bounds_and_music(run, tmp_path, capsys):
    pytest.importorskip("mido")
    pytest.importorskip("matplotlib")
    songs = write_songs(tmp_path / "songs.npz", lengths=(30, 30), test=30)
    folder = tmp_path / "demo"
    argv = ["demo", "data=jsb", f"data_path={songs}", f"run={folder}"]
    argv += ["minutes=0.001", "num_particles=2"]
    assert main(argv) == 0
    assert "independent notes" in capsys.readouterr().out
    for name in ("best.keras", "evaluation-test.json", "samples/rolls.png"):
        assert (folder / name).is_file()
    assert main(argv) == 0
    assert "is finished" in capsys.readouterr().out
