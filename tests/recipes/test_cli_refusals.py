"""What users get wrong about files: one line, exit code 2, nothing written."""

import numpy as np
import pytest

from recipes.cli import main
from tests.recipes.cli_examples import write_songs


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fit", "jsb", "data_path=missing.npz"], "no file of piano rolls"),
        (["evaluate"], "Received: no `run`"),
        (["evaluate", "missing"], "no trained model"),
        (["sample", "missing/best.keras"], "no trained model"),
    ],
)
def test_a_file_that_is_not_there_is_told(
    argv, message, tmp_path, monkeypatch, capsys
):
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
    assert "split 'test' of" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    model = tmp_path / "best.keras"
    model.write_bytes(b"nothing")
    path = write_songs(tmp_path / "songs.npz")
    argv = ["evaluate", str(model), "data=jsb", f"data_path={path}"]
    assert main(argv) == 2
    told = capsys.readouterr().err
    assert "a model of keras_fivo" in told and f"path={model}" in told
    assert main(["evaluate", str(model)]) == 2
    assert "name them with data=" in capsys.readouterr().err
