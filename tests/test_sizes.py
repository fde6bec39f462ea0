"""Sizes for which there is no memory, as in the files of others."""

import json
import zipfile

import keras
import pytest

import keras_fivo as kf


@pytest.mark.parametrize("kind", [kf.VRNNCell, kf.SRNNCell])
@pytest.mark.parametrize(
    "sizes",
    [
        {"latent_dim": 10**9},
        {"units": 10**9},
        {"hidden_units": [10**9]},
        {"hidden_units": [10**5, 10**5]},
        {"data_encoding_dim": 10**9},
        {"recurrent": lambda: keras.layers.GRUCell(10**9)},
    ],
    ids=lambda sizes: next(iter(sizes)),
)
def test_weights_that_no_machine_holds_are_refused(kind, sizes):
    sizes = {k: v() if callable(v) else v for k, v in sizes.items()}
    cell = kind(**{"latent_dim": 2, "units": 3, **sizes})
    with pytest.raises(ValueError, match="Received: a weight of shape"):
        cell.build((None, None, 5))


def test_observations_that_no_machine_holds_are_refused():
    with pytest.raises(ValueError, match="Received: a weight of shape"):
        kf.VRNNCell(2).build((None, None, 10**9))


def test_networks_have_a_hundred_layers_at_most():
    with pytest.raises(ValueError, match="units of length 501"):
        kf.VRNNCell(2, hidden_units=[1] * 500)


def test_such_sizes_in_a_file_are_an_error_and_no_crash(tmp_path):
    model = kf.LatentSequenceModel(kf.VRNNCell(2, units=3))
    model.build((None, None, 5))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["cell"]["config"]["units"] = 10**9
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / "hostile.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="Received: a weight of shape"):
        keras.saving.load_model(tmp_path / "hostile.keras")
