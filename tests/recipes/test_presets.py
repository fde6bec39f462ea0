"""Presets made of runs, and what the verbs do with them."""

import json
import pathlib
import shutil
import sys
import types

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.cli import main
from recipes.errors import RecipeError
from recipes.presets.card import model_card
from recipes.presets.finding import find_preset, shipped_folder
from recipes.registry import recipe_of, recipe_of_run
from recipes.settings.common import EvaluateSettings
from recipes.storage import write_json
from recipes.training.trained import load_trained
from tests.conftest import REPOSITORY
from tests.recipes.cli_examples import SMALL, write_songs
from tests.reference.examples import numpy

PIANOROLLS = REPOSITORY.parent / "shared" / "data" / "pianorolls"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of songs, a finished run, and the preset `mine` made of it.

    The run is told to be that of a shipped preset: nothing need be trained.
    """
    folder = tmp_path_factory.mktemp("presets")
    songs, run = write_songs(folder / "songs.npz"), folder / "run"
    run.mkdir()
    start = shipped_folder() / "tiny-vrnn"
    kf.LatentSequenceModel.from_preset("tiny-vrnn").save(run / "best.keras")
    record = json.loads((start / "run.json").read_text())
    of_machine = {"data": "jsb", "data_path": str(songs), "run": str(run)}
    record["settings"] |= of_machine | {"tensorboard": False}
    record["command"] += f" run={run}"
    write_json(run / "run.json", record)
    shutil.copy(start / "evaluation-test.json", run)
    output = f"output={folder / 'presets'}"
    assert main(["preset", str(run), "name=mine", output]) == 0
    return folder


def weights_of(path):
    if path.is_dir():
        model = kf.LatentSequenceModel.from_preset(path)
    else:
        model = keras.saving.load_model(path, compile=False)
    return [numpy(weight.value) for weight in model.cell.weights]


def test_a_preset_is_the_best_model_with_its_record(made):
    preset = made / "presets" / "mine"
    mine, best = weights_of(preset), weights_of(made / "run" / "best.keras")
    for one, other in zip(mine, best, strict=True):
        np.testing.assert_array_equal(one, other)
    record = json.loads((preset / "run.json").read_text())
    assert record["settings"]["data"] == "jsb"
    for path in (*preset.glob("*.json"), preset / "README.md"):
        assert str(made) not in path.read_text()
    content = json.loads((preset / "evaluation-test.json").read_text())
    card = (preset / "README.md").read_text()
    assert f"| FIVO | {content['bounds']['fivo']['bound_per_step']:.3f}" in card
    assert "latent_dim=4 units=8" in card and "Licence: not stated" in card
    model = kf.LatentSequenceModel.from_preset(preset)
    assert model.evaluation_bound.get_config() == kf.FIVO(128).get_config()


def test_a_preset_is_made_once_and_of_a_finished_run(made, tmp_path, capsys):
    argv = ["preset", str(made / "run"), "name=mine"]
    assert main([*argv, f"output={made / 'presets'}"]) == 2
    assert "exists: choose another name" in capsys.readouterr().err
    shutil.copytree(made / "run", tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace('"finished"', '"running"'))
    argv = ["preset", str(tmp_path / "run"), f"output={tmp_path / 'out'}"]
    assert main(argv) == 2
    assert "a run that is finished" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_verbs_know_the_training_of_a_preset(made, monkeypatch):
    monkeypatch.chdir(made)
    songs, preset = made / "songs.npz", made / "presets" / "mine"
    settings = EvaluateSettings(run=str(preset), data_path=str(songs))
    trained = load_trained(settings)
    assert trained.data == "jsb" and trained.trained_with.latent_dim == 4
    # A preset stays as it is.
    assert trained.folder == pathlib.Path("runs/mine")
    output = made / "bounds.json"
    argv = ["evaluate", str(preset), f"data_path={songs}", "num_particles=2"]
    assert main([*argv, f"output={output}"]) == 0
    assert json.loads(output.read_text())["bounds"]["elbo"]["kl_per_step"] > 0


def test_fit_goes_on_with_the_weights_of_a_preset(made, tmp_path, capsys):
    # With a learning rate of next to nothing the weights stay.
    preset, run = made / "presets" / "mine", tmp_path / "run"
    argv = ["fit", f"preset={preset}", f"data_path={made / 'songs.npz'}"]
    argv += [f"run={run}", "learning_rate=1e-9", "updates=2"]
    argv += [*SMALL[2:5], "tensorboard=false"]
    assert main(argv) == 0
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["latent_dim"] == 4
    assert record["settings"]["preset"] == str(preset)
    for one, other in zip(
        weights_of(run / "best.keras"), weights_of(preset), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-7)
    # The other way round: not from the preset, the weights are others.
    assert main([*argv[:3], "run=" + str(tmp_path / "x"), "latent_dim=5"]) == 2
    assert "Received: preset=" in capsys.readouterr().err


@pytest.mark.slow
def test_tune_begins_each_trial_with_the_preset(made, tmp_path):
    pytest.importorskip("keras_tuner")
    pytest.importorskip("tensorboard")
    preset, run = made / "presets" / "mine", tmp_path / "search"
    argv = ["tune", f"preset={preset}", f"data_path={made / 'songs.npz'}"]
    argv += [f"run={run}", "trials=1", "updates=2", "algorithm=random"]
    argv += ["search=learning_rate", *SMALL[2:5]]
    assert main(argv) == 0
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["latent_dim"] == 4
    largest = max(
        np.abs(one - other).max()
        for one, other in zip(
            weights_of(run / "best.keras"), weights_of(preset), strict=True
        )
    )
    # Two updates of Adam, of at most 3e-3 each, and not a new beginning.
    assert 0 < largest < 0.01


def test_a_table_of_presets_is_written_from_their_cards(made, tmp_path):
    argv = ["gallery", f"presets={made / 'presets'}", f"output={tmp_path}"]
    assert main(argv) == 0
    page = (tmp_path / "gallery.md").read_text()
    path = made / "presets" / "mine" / "evaluation-test.json"
    row = json.loads(path.read_text())["bounds"]["fivo"]
    assert "[`mine`](#mine)" in page
    assert f"**{row['bound_per_step']:.3f}** (FIVO)" in page
    assert "![" not in page
    (tmp_path / "gallery").mkdir()
    for suffix in ("png", "ogg"):
        (tmp_path / "gallery" / f"mine.{suffix}").write_bytes(b"")
    assert main(argv) == 0
    page = (tmp_path / "gallery.md").read_text()
    assert "![Samples of mine](gallery/mine.png)" in page
    assert "(gallery/mine.ogg)" in page


def test_the_gallery_draws_and_plays_a_preset(made, tmp_path):
    for module in ("matplotlib", "mido", "soundfile"):
        pytest.importorskip(module)
    shutil.copy(made / "songs.npz", tmp_path / "jsb.npz")
    argv = ["gallery", f"presets={made / 'presets'}", "draw=true"]
    argv += [f"data_folder={tmp_path}", f"output={tmp_path / 'docs'}"]
    assert main(argv) == 0
    gallery = tmp_path / "docs" / "gallery"
    names = sorted(path.name for path in gallery.iterdir())
    assert names == ["mine.ogg", "mine.png"]
    assert (gallery / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / "mine.ogg").read_bytes().startswith(b"OggS")
    assert "(gallery/mine.ogg)" in (tmp_path / "docs/gallery.md").read_text()


def test_presets_are_found_by_name_folder_and_not_otherwise(made):
    assert find_preset("tiny-vrnn") == shipped_folder() / "tiny-vrnn"
    mine = made / "presets" / "mine"
    assert find_preset(str(mine)) == mine
    for text in ("", "nothing", str(made), "../tiny-vrnn"):
        assert find_preset(text) is None
    assert recipe_of_run({"run": "chain-filtering"}).name == "ghmm"
    assert recipe_of_run({"run": str(mine)}).name == "pianoroll"


def test_a_preset_on_a_hub_is_fetched(made, monkeypatch):
    folder, asked = made / "presets" / "mine", []

    def snapshot_download(handle):
        asked.append(handle)
        return str(folder)

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert find_preset("hf://someone/mine") == folder
    assert recipe_of_run({"run": "hf://someone/mine"}).name == "pianoroll"
    assert asked == ["someone/mine"] * 2
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(RecipeError, match="pip install huggingface_hub"):
        find_preset("hf://someone/mine")


def test_an_unknown_preset_is_told_the_known_ones(capsys):
    assert main(["fit", "preset=nothing"]) == 2
    error = capsys.readouterr().err
    assert "tiny-vrnn" in error and "Received: preset='nothing'" in error


# A rule that trains networks is no run of a recipe.
SHIPPED = sorted(path.parent for path in shipped_folder().glob("*/run.json"))


def test_the_shipped_cards_are_what_is_generated_now():
    folders = SHIPPED
    assert len(folders) >= 4
    for folder in folders:
        record = json.loads((folder / "run.json").read_text())
        content = json.loads((folder / "evaluation-test.json").read_text())
        recipe = recipe_of(record["settings"]["data"])
        card = model_card(folder.name, recipe, record, content)
        assert card == (folder / "README.md").read_text("utf-8")


def test_the_gallery_of_the_docs_is_what_is_generated_now(tmp_path):
    (tmp_path / "gallery").symlink_to(REPOSITORY / "docs" / "gallery")
    assert main(["gallery", f"output={tmp_path}"]) == 0
    page = (tmp_path / "gallery.md").read_text("utf-8")
    assert page == (REPOSITORY / "docs" / "gallery.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_preset_reaches_the_numbers_of_its_card(folder, tmp_path):
    told = json.loads((folder / "evaluation-test.json").read_text())
    argv = ["evaluate", folder.name, f"output={tmp_path / 'bounds.json'}"]
    path = PIANOROLLS / f"{told['data']}.npz"
    if told["data"] == "digits":
        path = PIANOROLLS.parent / "speech" / "fsdd_8k.npz"
    if told["data"] not in ("chain", "figures", "bach"):
        if not path.is_file():
            pytest.skip(f"no {path.name} in ../shared/data")
        argv.append(f"data_path={path}")
    if told["data"] == "bach":
        pytest.importorskip("music21")
    assert main(argv) == 0
    found = json.loads((tmp_path / "bounds.json").read_text())
    assert ("parts" in found) == (told["data"] == "jsb")
    for mine, theirs in zip(
        [found, *found.get("parts", [])],
        [told, *told.get("parts", [])],
        strict=True,
    ):
        assert mine["steps"] == theirs["steps"]
        for name, row in theirs["bounds"].items():
            # The noise is the same on all backends; what differs is rounding.
            assert mine["bounds"][name]["bound_per_step"] == pytest.approx(
                row["bound_per_step"], abs=0.02, rel=0
            )
