"""The table of refined proposals, without the hours that it takes."""

import pytest

from recipes.experiments import refined_music
from recipes.experiments.refined_music import PROGRAM, MusicSettings
from recipes.settings.common import BOUNDS
from recipes.storage import write_json
from recipes.training import evaluation, fitting
from recipes.training.run_folder import RunFolder


@pytest.fixture
def trained(monkeypatch):
    """Takes the place of training and testing; tells what was asked for."""
    asked = {}

    def run_fit(settings):
        asked[settings.folder.rpartition("/")[2]] = settings
        record = {"identity": {}, "settings": settings.as_dict()}
        record |= {"status": "finished", "started": "today", "best": -7.5}
        record |= {"best_updates": 300, "updates": 400, "seconds": 1.0}
        record |= {"stopped_by": "updates"}
        RunFolder(settings.folder).write_record(record)

    def run_evaluate(settings):
        rows = {name: {"bound_per_step": -8.25} for name in BOUNDS}
        content = {"bounds": rows, "free_energy_marino": 8.125}
        content["num_particles"] = settings.num_particles
        write_json(f"{settings.run}/evaluation-test.json", content)

    monkeypatch.setattr(fitting, "run_fit", run_fit)
    monkeypatch.setattr(evaluation, "run_evaluate", run_evaluate)
    return asked


def test_a_row_is_one_command(trained, tmp_path, capsys):
    argv = ["data=jsb", "rows=refined-5", f"output={tmp_path}"]
    assert PROGRAM.main(argv) == 0
    settings = trained["jsb-refined-5"]
    assert (settings.latent_dim, settings.units) == (100, 300)
    assert (settings.num_iterations, settings.update) == (5, "learned_sgd")
    assert (settings.objective, settings.kl_updates) == ("em", 500)
    line = "| jsb | refined-5 | 6.77 | 8.125 | -8.250, -8.250, -8.250 | -7.500 "
    assert line in capsys.readouterr().out
    assert line in (tmp_path / "table.md").read_text()


def test_settings_of_a_row_follow_the_data_and_the_bound():
    settings = MusicSettings()
    large = refined_music.fit_settings(settings, "musedata", "refined-1")
    assert large.update == "highway" and large.batch_size == 16
    fivo = refined_music.fit_settings(settings, "jsb", "fivo-started")
    assert (fivo.start, fivo.proposal) == ("filtering", "iterative")
    assert (fivo.bound, fivo.latent_dim, fivo.kl_updates) == ("fivo", 32, None)
    assert fivo.learning_rate == 1e-3 and fivo.networks == "fivo"
    baseline = refined_music.fit_settings(settings, "jsb", "baseline")
    assert baseline.proposal == "filtering" and baseline.networks == "avf"


def test_what_was_not_run_is_said(trained, tmp_path):
    settings = MusicSettings(output=str(tmp_path), train=False)
    refined_music.run(settings)
    text = (tmp_path / "table.md").read_text()
    assert "Not run: jsb baseline, jsb refined-1, jsb refined-5." in text
    assert not trained
