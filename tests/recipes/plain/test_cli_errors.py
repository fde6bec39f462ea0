"""What users get wrong: one line, exit code 2, nothing written."""

import dataclasses

import numpy as np
import pytest

from recipes.cli import VERBS, main
from recipes.errors import RecipeError
from recipes.pianoroll.config import (
    NAMES,
    EvaluateSettings,
    FitSettings,
    SampleSettings,
    TuneSettings,
)
from recipes.pianoroll.data import NAMES as LOADED_NAMES
from recipes.settings.options import parse, parser_of
from tests.recipes.cli_examples import write_songs


def given(*argv, cls=FitSettings, positional="data"):
    parser = parser_of(cls, "prog", "description", positional)
    return parse(cls, list(argv), parser, positional)


def test_pairs_and_flags_mean_the_same():
    pairs = given("jsb", "num_particles=8", "learning_rate=1e-3", "minutes=2")
    flags = given(
        "--data=jsb",
        "--num-particles",
        "8",
        "--learning_rate=1e-3",
        "--minutes",
        "2",
    )
    assert pairs == flags
    assert pairs == {
        "data": "jsb",
        "num_particles": 8,
        "learning_rate": 1e-3,
        "minutes": 2.0,
    }


def test_words_become_values():
    found = given("updates=1e3", "hidden_units=16,8", "tensorboard=no")
    assert found == {
        "updates": 1000,
        "hidden_units": (16, 8),
        "tensorboard": False,
    }
    assert given("clipnorm=none") == {"clipnorm": None}


def test_a_value_may_hold_an_equals_sign():
    assert given("run=a=b") == given("--run", "a=b") == {"run": "a=b"}


@pytest.mark.parametrize(
    ("data", "latent_dim"),
    [("jsb", 32), ("bach", 32), ("nottingham", 64), ("musedata", 256)],
)
def test_sizes_follow_the_data_set(data, latent_dim):
    assert FitSettings.from_given({"data": data}).latent_dim == latent_dim
    settings = FitSettings.from_given({"data": data, "latent_dim": 5})
    assert settings.latent_dim == 5


def test_the_names_of_data_sets_agree():
    assert NAMES == LOADED_NAMES


@pytest.mark.parametrize(
    "cls", [FitSettings, EvaluateSettings, SampleSettings, TuneSettings]
)
def test_every_setting_is_in_the_help_with_its_default(cls):
    text = parser_of(cls, "prog", "description").format_help()
    fields = dataclasses.fields(cls)
    assert len(fields) >= 7
    for field in fields:
        assert "--" + field.name.replace("_", "-") in text
        assert field.metadata["help"].endswith(".")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"python -m recipes {verb}" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_help_lists_the_verbs(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_list_names_the_data_sets(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fits"], "Did you mean `fit`?"),
        (["fit", "jbs"], "Did you mean 'jsb'?"),
        (["fit", "jsb", "num_particle=4"], "Did you mean `num_particles`?"),
        (["fit", "jsb", "--num-particle", "4"], "Did you mean `num_particles`"),
        (["fit", "jsb", "bound=fvio"], "Received: bound='fvio'"),
        (["fit", "jsb", "updates=many"], "received: updates='many'"),
        (["fit", "jsb", "updates=1.5"], "must be an integer"),
        (["fit", "jsb", "num_particles=0"], "Received: num_particles=0"),
        (["fit", "jsb", "learning_rate=nan"], "must be a number"),
        (["fit", "jsb", "learning_rate=0"], "must be above 0"),
        (["fit", "jsb", "dropout=1"], "must be at most 0.99"),
        (["fit", "jsb", "scheme=best"], "one of multinomial"),
        (["fit", "jsb", "seed=none"], "received: seed='none'"),
        (["fit", "jsb", "--updates"], "expected one argument"),
        (["fit", "jsb", "bach"], "Received: 'bach'"),
        (["fit", "jsb", "data_path=missing.npz"], "no file of piano rolls"),
        (["evaluate"], "Received: no `run`"),
        (["evaluate", "missing"], "no trained model"),
        (["sample", "missing/best.keras"], "no trained model"),
        (["tune", "jsb", "search=colour"], "Received: search with 'colour'"),
        (["benchmark", "backends=mxnet"], "Received: backends with 'mxnet'"),
    ],
)
def test_an_error_is_one_line(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_empty_split_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_songs(tmp_path / "songs.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["test_notes"] = arrays["test_notes"][:0]
    arrays["test_step_offsets"] = np.zeros(1, "int32")
    arrays["test_seq_offsets"] = np.zeros(1, "int32")
    np.savez(path, **arrays)
    assert main(["fit", "jsb", f"data_path={path}"]) == 2
    assert "split='test' with none" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    model = tmp_path / "best.keras"
    model.write_bytes(b"nothing")
    path = write_songs(tmp_path / "songs.npz")
    argv = ["evaluate", str(model), "data=jsb", f"data_path={path}"]
    assert main(argv) == 2
    assert "cannot be loaded" in capsys.readouterr().err
    assert main(["evaluate", str(model)]) == 2
    assert "name them with data=" in capsys.readouterr().err


def test_settings_must_not_be_absent():
    with pytest.raises(RecipeError, match="Received: seed=None"):
        FitSettings(seed=None)
