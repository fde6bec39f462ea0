"""Models in files that are damaged, or made to harm."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.cli import main
from recipes.errors import FileError
from recipes.training.model_file import load_model
from tests.hostile_files import mutated
from tests.recipes.cli_examples import write_songs


def built(cell):
    model = kf.LatentSequenceModel(cell, bound=kf.FIVO(2), seed=2**32 - 1)
    model.build((None, None, 5))
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "whole.keras"
    model = built(kf.VRNNCell(3, units=4))
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return path


def cells():
    recurrent = keras.layers.StackedRNNCells(
        [keras.layers.GRUCell(4), keras.layers.LSTMCell(4)]
    )
    yield kf.VRNNCell(3, units=4, recurrent=recurrent, twist="look_ahead")
    head = kf.DiscretizedLogisticMixtureHead(num_components=2, num_bins=2**16)
    yield kf.SRNNCell(3, units=4, emission=head, proposal="smoothing")
    yield kf.LinearGaussianCell(2, {"transition_matrix": np.eye(2)})


@pytest.mark.parametrize(
    "cell", [*cells()], ids=lambda cell: type(cell).__name__
)
def test_what_keras_saved_comes_back_equal(tmp_path, cell):
    model = built(cell)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert type(loaded.cell) is type(cell)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        )


def rewritten(path, config=None, weights=None, extra=(), **options):
    """The content of a model's file with some members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        members["config.json"] = config
    if weights is not None:
        members["model.weights.h5"] = weights
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", **options) as archive:
        for name, content in [*members.items(), *extra]:
            if content is not None:
                archive.writestr(name, content)
    return written.getvalue()


def with_config(change):
    """Changes the configuration."""

    def spoil(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        config = change(config) or config
        return rewritten(path, json.dumps(config).encode())

    return spoil


def put(place, value):
    """Changes an entry of the configuration, `place` a list of keys."""

    def change(config):
        for key in place[:-1]:
            config = config[key]
        config[place[-1]] = value

    return with_config(change)


def in_cell(name, value):
    return put(["config", "cell", "config", name], value)


def with_weights(change):
    """Changes the weights."""

    def spoil(path):
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content, "r+") as file:
            change(file)
        return rewritten(path, weights=content.getvalue())

    return spoil


def another_form(file):
    del file["cell/vars/0"]
    file["cell/vars/0"] = np.zeros(7, "float32")


def huge(file):
    del file["cell/vars/0"]
    file.create_dataset("cell/vars/0", (10**12,), "float32", chunks=(1000,))


def compressed(file):
    del file["cell/vars/0"]
    file.create_dataset("cell/vars/0", data=np.zeros(5), compression="gzip")


def external(file):
    del file["cell/vars/0"]
    file.create_dataset(
        "cell/vars/0", (5,), "float32", external=[("/etc/passwd", 0, 20)]
    )


def link(file):
    del file["cell/vars/0"]
    file["cell/vars/0"] = h5py.SoftLink("/cell/vars/1")


SPOILT = {
    "nothing": lambda path: b"",
    "text": lambda path: b"no archive",
    "no members": lambda path: rewritten(path, extra=[])[-22:],
    "no config": lambda path: rewritten(path).replace(b"config.j", b"konfig.j"),
    "another member": lambda path: rewritten(path, extra=[("assets/a", b"x")]),
    "compressed": lambda path: rewritten(
        path, compression=zipfile.ZIP_DEFLATED
    ),
    "a bomb": lambda path: rewritten(
        path, bytes(2**25), compression=zipfile.ZIP_DEFLATED
    ),
    "a long config": lambda path: rewritten(path, b" " * (2**20 + 1)),
    "a deep config": lambda path: rewritten(path, b"[" * 10**5),
    "a list": lambda path: rewritten(path, b"[1, 2]"),
    "no weights": lambda path: rewritten(path, weights=b""),
    "nested objects": with_config(
        lambda config: {"class_name": "LatentSequenceModel", "config": config}
    ),
    "another class": put(["registered_name"], "keras_fivo>VRNNCell"),
    "a layer": put(
        ["config", "cell"],
        {"module": "keras.layers", "class_name": "Dense", "config": {}},
    ),
    "a function": put(
        ["config", "cell"],
        {"module": "os", "class_name": "function", "config": "system"},
    ),
    "a lambda": in_cell(
        "activation", {"class_name": "__lambda__", "config": {"value": ""}}
    ),
    "a layer under our name": in_cell(
        "recurrent",
        {
            "module": "keras.layers",
            "class_name": "Embedding",
            "config": {"input_dim": 10**6, "output_dim": 10**6},
            "registered_name": "keras_fivo>VRNNCell",
        },
    ),
    "no emission": in_cell("emission", None),
    "no latents": in_cell("latent_dim", 0),
    "latents of text": in_cell("latent_dim", "many"),
    "unknown argument": in_cell("colour", "red"),
    "10^9 latents": in_cell("latent_dim", 10**9),
    "10^9 units": in_cell("units", 10**9),
    "10^5 units": in_cell("units", 10**5),
    "10^9 hidden units": in_cell("hidden_units", [10**9]),
    "10^5 hidden layers": in_cell("hidden_units", [1] * 10**5),
    "10^9 features": put(["build_config", "sizes", "observations"], 10**9),
    "10^6 features": put(["build_config", "sizes", "observations"], 10**6),
    "no features": put(["build_config", "sizes"], {}),
    "sizes of another kind": put(["build_config", "sizes"], [5]),
    "build_config of another kind": put(["build_config"], [5]),
    "built with a shape": put(["build_config"], {"input_shape": [None, 5]}),
    "not built": put(["build_config"], None),
    "weights of another form": with_weights(another_form),
    "weights without end": with_weights(huge),
    "compressed weights": with_weights(compressed),
    "another file's weights": with_weights(external),
    "a link": with_weights(link),
    "weights that are missing": with_weights(lambda file: file.pop("cell")),
    "text as weights": with_weights(lambda file: file.update({"text": "x"})),
}


@pytest.mark.parametrize("label", SPOILT)
def test_hostile_files_are_refused_by_name(whole, tmp_path, label):
    path = tmp_path / "hostile.keras"
    path.write_bytes(SPOILT[label](whole))
    with pytest.raises(FileError, match="Received: path=") as told:
        load_model(path)
    assert str(path) in str(told.value)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_file_that_was_written_anew_is_a_model_still(whole, tmp_path):
    path = tmp_path / "again.keras"
    path.write_bytes(rewritten(whole))
    assert load_model(path).cell.latent_dim == 3
    path.write_bytes(with_config(lambda config: None)(whole))
    assert load_model(path).cell.latent_dim == 3


def test_damaged_files_are_read_or_refused_by_name(whole, tmp_path):
    path = tmp_path / "damaged.keras"
    num_refused = 0
    for content in mutated(whole.read_bytes(), 80):
        path.write_bytes(content)
        try:
            load_model(path)
        except FileError as error:
            assert str(path) in str(error)
            num_refused += 1
    assert num_refused > 30


def test_the_command_line_names_the_file(whole, tmp_path, capsys):
    path = tmp_path / "best.keras"
    path.write_bytes(SPOILT["10^9 units"](whole))
    songs = write_songs(tmp_path / "songs.npz")
    assert main(["evaluate", str(path), "data=jsb", f"data_path={songs}"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"path={path}" in told
