"""The tables of refined proposals, without the hours that they take."""

import pathlib

import pytest

from recipes.experiments import refined_music, refined_speech, refined_video
from recipes.experiments.refined_music import MusicSettings
from recipes.experiments.refined_speech import SpeechSettings
from recipes.experiments.refined_video import VideoSettings
from recipes.settings.common import BOUNDS
from recipes.storage import write_json
from recipes.training import evaluation, fitting, trained
from recipes.training.run_folder import RunFolder

TABLES = (refined_music, refined_speech, refined_video)


@pytest.fixture
def asked(monkeypatch):
    """Takes the place of training and testing; tells what was asked for."""
    asked = {"fit": {}, "evaluate": [], "sample": []}

    def name(path):
        return pathlib.Path(path).name

    def run_fit(settings):
        asked["fit"][name(settings.folder)] = settings
        record = {"identity": {}, "settings": settings.as_dict()}
        record |= {"status": "finished", "started": "today", "best": -7.5}
        record |= {"best_updates": 300, "updates": 400, "seconds": 1.0}
        record |= {"stopped_by": "updates", "cpu_seconds": 90.0}
        RunFolder(settings.folder).write_record(record)

    def run_evaluate(settings):
        asked["evaluate"].append(name(settings.run))
        rows = {bound: {"bound_per_step": -8.25} for bound in BOUNDS}
        content = {"bounds": rows, "free_energy_marino": 8.125}
        content["num_particles"] = settings.num_particles
        if "jsb" in settings.run:
            part = {bound: {"bound_per_step": -8.5} for bound in BOUNDS}
            content["parts"] = [{"sequences": 49, "bounds": part}]
        write_json(f"{settings.run}/evaluation-test.json", content)

    def run_sample(settings):
        asked["sample"].append(settings)
        samples = pathlib.Path(settings.run) / "samples"
        samples.mkdir(exist_ok=True)
        if len(asked["sample"]) > 1:  # the first one is cut off
            (samples / "frames.gif").write_bytes(b"")

    monkeypatch.setattr(fitting, "run_fit", run_fit)
    monkeypatch.setattr(evaluation, "run_evaluate", run_evaluate)
    monkeypatch.setattr(trained, "run_sample", run_sample)
    return asked


def test_a_row_of_music_is_one_command(asked, tmp_path, capsys):
    argv = ["data=jsb", "rows=refined-5", f"output={tmp_path}"]
    assert refined_music.PROGRAM.main(argv) == 0
    settings = asked["fit"]["jsb-refined-5"]
    assert (settings.latent_dim, settings.units) == (100, 300)
    assert (settings.num_iterations, settings.update) == (5, "learned_sgd")
    assert (settings.objective, settings.kl_updates) == ("em", 500)
    line = "| jsb | refined-5 | srnn | 1 | 0 | 6.77 | 8.125 | -8.250, -8.250, "
    line += "-8.250 (49 of them: -8.500, -8.500, -8.500) | -7.500 | 300 | 400 "
    line += "| 1.5 |"
    assert line in capsys.readouterr().out
    assert line in (tmp_path / "table.md").read_text()
    # Tested once.
    assert refined_music.PROGRAM.main(argv) == 0
    assert asked["evaluate"] == ["jsb-refined-5"]


def test_rows_with_fivo_are_of_all_cells_particles_and_seeds(tmp_path):
    settings = MusicSettings(
        rows=("baseline", "fivo-started"),
        models=("vrnn", "srnn"),
        fivo_particles=(4, 16),
        seeds=(0, 2),
        output=str(tmp_path),
    )
    rows = {row.name: row for row in refined_music.TABLE.rows(settings)}
    assert len(rows) == 2 + 8
    # What is usual has no place in the name.
    assert rows["jsb fivo-started"].fit.folder == str(
        tmp_path / "jsb-fivo-started"
    )
    row = rows["jsb fivo-started srnn 16-particles seed-2"]
    fit = row.fit
    assert (fit.model, fit.num_particles, fit.seed) == ("srnn", 16, 2)
    assert (fit.start, fit.proposal) == ("filtering", "iterative")
    assert (fit.bound, fit.latent_dim, fit.kl_updates) == ("fivo", 32, None)
    assert fit.learning_rate == 1e-3 and fit.networks == "fivo"
    assert row.cells == ("jsb", "fivo-started", "srnn", "16", "2", "")
    baseline = rows["jsb baseline seed-2"].fit
    assert (baseline.model, baseline.num_particles) == ("srnn", 1)
    assert baseline.proposal == "filtering" and baseline.networks == "avf"


def test_music_is_refined_as_in_the_paper():
    settings = MusicSettings(data=("musedata",), rows=("refined-1",))
    (row,) = refined_music.TABLE.rows(settings)
    assert row.fit.update == "highway" and row.fit.batch_size == 16
    assert row.fit.learning_rate == 3e-4
    changed = settings.changed(learning_rate=1e-4, dropout=0.2)
    (row,) = refined_music.TABLE.rows(changed)
    assert (row.fit.learning_rate, row.fit.dropout) == (1e-4, 0.2)


def test_a_row_of_speech_is_one_command(asked, tmp_path, capsys):
    argv = ["rows=vrnn-refined-2,srnn-baseline", f"output={tmp_path}"]
    assert refined_speech.PROGRAM.main(argv) == 0
    fit = asked["fit"]["digits-vrnn-refined-2"]
    assert (fit.data, fit.model, fit.num_iterations) == ("digits", "vrnn", 2)
    assert (fit.emission, fit.bound) == ("quantized_normal", "elbo")
    assert (fit.update, fit.normalize_mean) == ("learned_sgd", True)
    assert (fit.objective, fit.cpu_minutes) == ("em", 30)
    assert fit.gradient_scale == 1 / fit.batch_size
    assert asked["fit"]["digits-srnn-baseline"].proposal == "filtering"
    out = capsys.readouterr().out
    assert "| vrnn-refined-2 | 0 | 1,071 | 8.250 | -8.250, -8.250" in out
    assert "| srnn-baseline | 0 | 1,026 | 8.250 | " in out


def test_a_row_of_video_is_one_command(asked, tmp_path, capsys):
    argv = ["rows=baseline,refined-1", "seeds=1", f"output={tmp_path}"]
    assert refined_video.PROGRAM.main(argv) == 0
    fit = asked["fit"]["moving_digits-refined-1-seed-1"]
    assert (fit.proposal, fit.num_iterations, fit.seed) == ("iterative", 1, 1)
    assert (fit.bound, fit.cpu_minutes, fit.side) == ("elbo", 60, 32)
    assert "| refined-1 | 1 | 11,714 | 8.250 | " in capsys.readouterr().out
    assert [one.prefix_length for one in asked["sample"]] == [6, 6]
    for _ in range(2):
        assert refined_video.PROGRAM.main(argv) == 0
    runs = [pathlib.Path(one.run).name for one in asked["sample"]]
    assert runs[::2] == ["moving_digits-baseline-seed-1"] * 2
    assert len(runs) == 3 and len(asked["evaluate"]) == 2


@pytest.mark.parametrize("table", TABLES)
def test_what_was_not_run_is_said(table, asked, tmp_path):
    settings = table.PROGRAM.defaults.changed(output=str(tmp_path), train=False)
    table.PROGRAM.run(settings)
    text = (tmp_path / "table.md").read_text()
    names = [row.name for row in table.TABLE.rows(settings)]
    assert f"Not run: {', '.join(names)}." in text and len(names) >= 2
    assert not any(asked.values())


def test_rows_are_all_those_that_are_published():
    for table, settings in (
        (refined_music, MusicSettings()),
        (refined_speech, SpeechSettings()),
        (refined_video, VideoSettings()),
    ):
        assert set(table.PUBLISHED) <= set(settings.rows)
