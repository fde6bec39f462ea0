"""Table 1 of the paper, without the hours that it takes."""

import json

import pytest

from recipes.experiments import table1
from recipes.experiments.table1 import PROGRAM, TableSettings, best_run, table
from recipes.experiments.tables import DATA
from recipes.settings.common import BOUNDS
from recipes.storage import write_json
from recipes.training import evaluation, fitting
from recipes.training.run_folder import RunFolder


@pytest.fixture
def trained(monkeypatch):
    """Takes the place of training and testing; tells what was asked for."""
    asked = []

    def run_fit(settings):
        asked.append(("fit", settings.folder.rpartition("/")[2]))
        record = {"identity": {}, "settings": settings.as_dict()}
        record |= {"status": "finished", "started": "today"}
        # The seed tells how good a run is.
        record |= {"best": -9.0 + settings.seed, "best_updates": 300}
        record |= {"updates": 400, "seconds": 1.0, "stopped_by": "updates"}
        record |= {"cpu_seconds": 90.0}
        RunFolder(settings.folder).write_record(record)

    def run_evaluate(settings):
        asked.append(("evaluate", settings.run.rpartition("/")[2]))
        values = dict(zip(BOUNDS, (-8.25, -8.5, -8.75), strict=True))
        rows = {
            name: {"bound_per_step": value, "kl_per_step": 0.125}
            for name, value in values.items()
        }
        content = {"bounds": rows, "num_particles": settings.num_particles}
        write_json(f"{settings.run}/evaluation-test.json", content)

    monkeypatch.setattr(fitting, "run_fit", run_fit)
    monkeypatch.setattr(evaluation, "run_evaluate", run_evaluate)
    return asked


def test_the_seed_is_chosen_by_validation_and_tested_once(trained, tmp_path):
    argv = ["data=jsb", "bounds=fivo,iwae", "num_particles=4", "seeds=0,2,1"]
    argv += [f"output={tmp_path}", "updates=400"]
    assert PROGRAM.main(argv) == 0
    tested = [run for verb, run in trained if verb == "evaluate"]
    assert tested == ["jsb-fivo-4-2", "jsb-iwae-4-2"]
    assert len([run for verb, run in trained if verb == "fit"]) == 6
    record = RunFolder(tmp_path / "jsb-iwae-4-2").read_record()
    settings = record["settings"]
    assert (settings["bound"], settings["schedule"]) == ("iwae", "cosine")
    assert (settings["updates"], settings["latent_dim"]) == (400, 32)
    # FIVO is reported with its own bound, IWAE with the largest of three.
    text = (tmp_path / "table1.md").read_text()
    three = "-8.250, -8.500, -8.750"
    assert f"| jsb | 4 | FIVO | **-8.750** | -6.90 | {three} | 0.125" in text
    assert f"| jsb | 4 | IWAE | **-8.250** | -7.86 | {three} | 0.125" in text
    assert "| -7.000 | 300 | 400 | 1.5 | 2 |" in text and "Not run" not in text
    assert PROGRAM.main(argv) == 0
    assert [run for verb, run in trained if verb == "evaluate"] == tested


def test_what_was_not_run_is_said(trained, tmp_path):
    settings = TableSettings(data=("jsb",), output=str(tmp_path), seeds=(0, 1))
    table1.train_cell(settings, "jsb", "fivo", 8)
    text = table(settings)
    assert "| jsb | 8 | FIVO |" in text and "jsb FIVO 8" not in text
    assert text.count("jsb ELBO") == 3 and "jsb FIVO 16" in text
    # A seed that goes on still: the choice between them is not made.
    path = tmp_path / "jsb-fivo-8-0" / "run.json"
    record = json.loads(path.read_text()) | {"status": "running"}
    path.write_text(json.dumps(record))
    assert best_run(settings, "jsb", "fivo", 8) is None
    assert "jsb FIVO 8" in table(settings)


def test_published_numbers_are_of_four_sets():
    assert len(table1.PUBLISHED) == 7
    for row in table1.PUBLISHED.values():
        assert len(row) == len(DATA) == 4
    assert table1.PUBLISHED["fivo", 16][DATA.index("jsb")] == -6.72
