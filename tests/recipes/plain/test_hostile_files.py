"""Readers that need no Keras, and files that are damaged at random."""

import json
import pathlib
import subprocess
import sys

import pytest

from recipes.errors import FileError, RecipeError, reading
from recipes.storage import read_json
from recipes.training import run_folder
from recipes.training.run_folder import RunFolder
from tests.recipes.fuzz import PLAIN, write_log, write_record

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def fuzz(folder, count, names):
    """What came of damaged files, in a process of little memory."""
    command = [sys.executable, "-m", "tests.recipes.fuzz", str(folder)]
    ended = subprocess.run(
        [*command, str(count), "1", *names],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, (ended.returncode, ended.stdout, ended.stderr)
    found = {}
    for line in ended.stdout.splitlines():
        found |= json.loads(line)
    assert list(found) == list(names)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits of memory")
def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    found = fuzz(tmp_path, 250, PLAIN)
    assert {name: each["wrong"] for name, each in found.items()} == {
        name: [] for name in PLAIN
    }
    assert all(each["refused"] > 100 for each in found.values())
    assert max(each["slowest"] for each in found.values()) < 10


def test_an_error_of_a_parser_names_the_file_and_what_it_should_be():
    with pytest.raises(FileError) as told, reading("a.x", "an X", "Go home."):
        raise ZeroDivisionError("\x1b[31m " + "long " * 100)
    message = str(told.value)
    assert message.startswith("The file must be an X. It cannot be read")
    assert "ZeroDivisionError: ?[31m long" in message
    assert message.endswith("Go home. Received: path=a.x.")
    assert len(message) < 400 and message.isprintable()
    with pytest.raises(FileError, match=r"^as it is$"), reading("a.x", "an X"):
        raise FileError("as it is")
    with pytest.raises(FileNotFoundError, match="none"), reading("b", "an X"):
        open("none")


DEEP = "[" * 100_000
RECORD = {"identity": {}, "settings": {}, "status": "running", "started": ""}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nothing",
        DEEP,
        '{"identity": ' + DEEP,
        "[1, 2]",
        "7",
        "\udcff",
        " " * (2**24 + 1),
        "1" * 5000,
        json.dumps({**RECORD, "identity": None}),
        json.dumps({**RECORD, "settings": [1]}),
        json.dumps({**RECORD, "settings": {"data": ["jsb"]}}),
        json.dumps({**RECORD, "settings": {"data_path": 3}}),
        json.dumps({**RECORD, "status": 3}),
        json.dumps({**RECORD, "started": None}),
        json.dumps({**RECORD, "status": "finished"}),
        json.dumps({k: v for k, v in RECORD.items() if k != "status"}),
    ],
)
def test_a_record_of_another_form_is_refused_by_name(tmp_path, content):
    folder = RunFolder(tmp_path)
    folder.record_path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RecipeError, match=r"Received: path=.*run\.json"):
        folder.read_record()
    write_record(folder.record_path)
    assert folder.read_record()["best"] == -9.5


@pytest.mark.parametrize(
    "content",
    ["", "[1]", '{"bounds": {}}', '{"bounds": 1, "num_particles": 2}'],
)
def test_an_evaluation_of_another_form_is_refused_by_name(tmp_path, content):
    folder = RunFolder(tmp_path)
    assert folder.read_evaluation("valid") is None
    path = folder.evaluation_path("valid")
    path.write_text(content)
    with pytest.raises(RecipeError, match=r"path=.*evaluation-valid\.json"):
        folder.read_evaluation("valid")
    path.write_text('{"bounds": {}, "num_particles": 2}')
    assert folder.read_evaluation("valid")["num_particles"] == 2
    assert folder.read_evaluation("test") is None


@pytest.mark.parametrize(
    "line", ["nothing", DEEP, "[1]", "7", "{}", '{"epoch": "1"}', "\udcff"]
)
def test_a_log_of_another_form_is_refused_by_name(tmp_path, line, monkeypatch):
    folder = RunFolder(tmp_path)
    write_log(folder.jsonl_path)
    assert len(folder.read_log()) == 4
    with open(folder.jsonl_path, "ab") as file:
        file.write(f"{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(RecipeError, match=r"Remove it .*log\.jsonl"):
        folder.cut_logs(3)
    write_log(folder.jsonl_path)
    monkeypatch.setattr(run_folder, "MAX_LOG_BYTES", 100)
    with pytest.raises(RecipeError, match="more than 100 bytes"):
        folder.read_log()


def test_what_a_json_file_lacks_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1, "b": "x"}')
    assert read_json(path, "a test", {"a": int})["b"] == "x"
    with pytest.raises(FileError, match=r"a\.json, with 'x' where 'b' should"):
        read_json(path, "a test", {"a": int, "b": int})
    with pytest.raises(FileError, match="with None where 'c' should be"):
        read_json(path, "a test", {"c": float | int})
