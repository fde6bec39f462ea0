"""Models in folders: written whole, read without running anything."""

import json

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import model, two_batches
from tests.reference.examples import numpy

CARD = "# A model\n\nFor tests.\n"


@pytest.fixture
def saved(tmp_path):
    """A model and the folder that it was saved to."""
    made = model(bound=kf.FIVO(2), evaluation_bound=kf.IWAE(3))
    made.adapt(two_batches()[0])
    folder = tmp_path / "zoo" / "mine"
    made.save_to_preset(folder, CARD)
    return made, folder


def test_a_preset_gives_the_model_back(saved):
    made, folder = saved
    loaded = kf.LatentSequenceModel.from_preset(str(folder))
    assert loaded.get_config() == made.get_config()
    for mine, theirs in zip(loaded.weights, made.weights, strict=True):
        np.testing.assert_array_equal(numpy(mine.value), numpy(theirs.value))
    np.testing.assert_array_equal(
        numpy(loaded(two_batches()[0])), numpy(made(two_batches()[0]))
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]
    assert (folder / "README.md").read_text() == CARD
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["parameter_count"] == made.count_params()
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_nothing_is_overwritten_and_nothing_is_left_behind(saved, tmp_path):
    made, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"Received: folder=.*mine"):
        made.save_to_preset(folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == before
    fresh = kf.LatentSequenceModel(kf.VRNNCell(2))
    with pytest.raises(ValueError, match="Received: a model without weights"):
        fresh.save_to_preset(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo"]


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_changed_file_is_refused(saved, name):
    _, folder = saved
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} must be the file"):
        kf.LatentSequenceModel.from_preset(folder)


def change_config(folder, change):
    """Changes the configuration and its hash, as an attacker would."""
    from keras_fivo.presets.sources import digest

    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["sha256"]["config.json"] = digest(folder / "config.json")
    (folder / "metadata.json").write_text(json.dumps(metadata))


def test_a_preset_names_no_code_of_others(saved):
    _, folder = saved

    def change(config):
        config["config"]["cell"] = {
            "module": "os",
            "class_name": "system",
            "config": {"command": "true"},
            "registered_name": None,
        }

    change_config(folder, change)
    with pytest.raises(ValueError, match=r"Received: .*class_name='system'"):
        kf.LatentSequenceModel.from_preset(folder)


def test_another_kind_of_model_is_refused(saved):
    _, folder = saved

    def change(config):
        config["registered_name"] = "Functional"

    change_config(folder, change)
    with pytest.raises(ValueError, match="registered_name='Functional'"):
        kf.LatentSequenceModel.from_preset(folder)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000])
def test_metadata_that_are_none_are_refused(saved, content):
    _, folder = saved
    (folder / "metadata.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"metadata\.json must .*Received"):
        kf.LatentSequenceModel.from_preset(folder)


def test_unknown_names_list_the_known_ones(tmp_path):
    for name in ("nothing", str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match=f"Received: '{name}'"):
            kf.LatentSequenceModel.from_preset(name)


@pytest.mark.parametrize(
    ("handle", "library"),
    [("hf://a/b", "huggingface_hub"), ("kaggle://a/b", "kagglehub")],
)
def test_hubs_say_what_to_install(monkeypatch, handle, library):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        kf.LatentSequenceModel.from_preset(handle)


def test_a_hub_fetches_what_is_loaded(monkeypatch, saved):
    import sys
    import types

    made, folder = saved
    asked = []

    def snapshot_download(handle):
        asked.append(handle)
        return str(folder)

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    loaded = kf.LatentSequenceModel.from_preset("hf://someone/model")
    assert asked == ["someone/model"]
    assert loaded.get_config() == made.get_config()


@pytest.mark.one_backend
def test_every_shipped_preset_is_loaded_by_its_name():
    for name, metadata in kf.LatentSequenceModel.presets.items():
        loaded = kf.LatentSequenceModel.from_preset(name)
        assert loaded.count_params() == metadata["parameter_count"]
        assert isinstance(loaded, keras.Model)
