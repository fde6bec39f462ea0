import json
import pathlib
import subprocess
import sys

import pytest

from recipes.errors import RecipeError
from recipes.training.run_folder import RunFolder

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="needs forks")
def test_a_run_killed_before_any_change_on_disk_ends_like_one_that_was_not(
    tmp_path,
):
    ended = subprocess.run(
        [sys.executable, "-m", "tests.recipes.kill_points", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["num_kills"] > 80
    assert found["faults"] == []


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    for epoch in range(3):
        folder.append_log({"epoch": epoch, "loss": 1.0})
    for path in (folder.jsonl_path, folder.csv_path):
        path.write_bytes(path.read_bytes()[:-4])
    folder.cut_logs(5)
    folder.append_log({"epoch": 2, "loss": 0.5})
    rows = [{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": 1.0}]
    assert folder.read_log() == [*rows, {"epoch": 2, "loss": 0.5}]
    assert folder.csv_path.read_text().split() == [
        *("epoch,loss", "0,1.0", "1,1.0", "2,0.5")
    ]


def test_what_is_no_leftover_of_a_run_stays(tmp_path):
    (tmp_path / ".partial-run.json").write_text("{")
    (tmp_path / "chapter.txt").write_text("precious")
    with pytest.raises(RecipeError, match="holds other files"):
        RunFolder(tmp_path).claim({})
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "chapter.txt").unlink()
    assert RunFolder(tmp_path).claim({}) is None
    assert list(tmp_path.iterdir()) == []
