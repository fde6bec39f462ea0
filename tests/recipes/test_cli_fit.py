import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.data.sequence_dataset import SequenceDataset
from recipes.training import loop
from recipes.training.run_folder import RunFolder
from tests.recipes.cli_examples import SMALL, fit, write_songs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def songs(tmp_path):
    return write_songs(tmp_path / "songs.npz")


def state_of(run):
    with np.load(run / "state.npz") as state:
        progress = json.loads(str(state["progress"]))
        names = [name for name in state.files if name != "progress"]
        return [state[name] for name in names], progress


def log_of(run):
    """The log without what the clock says."""
    rows = RunFolder(run).read_log()
    return [
        {k: v for k, v in row.items() if "seconds" not in k} for row in rows
    ]


def assert_same_run(one, other):
    arrays, progress = state_of(one)
    other_arrays, other_progress = state_of(other)
    assert len(arrays) == len(other_arrays) > 10
    for array, other_array in zip(arrays, other_arrays, strict=True):
        np.testing.assert_array_equal(array, other_array)
    for name in ("seconds", "cpu_seconds"):
        progress.pop(name), other_progress.pop(name)
    assert progress == other_progress
    assert log_of(one) == log_of(other)
    best = [keras.saving.load_model(r / "best.keras") for r in (one, other)]
    assert all(isinstance(model, kf.LatentSequenceModel) for model in best)
    for left, right in zip(*(m.get_weights() for m in best), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its songs, its folder, and what `fit` gave back."""
    folder = tmp_path_factory.mktemp("finished")
    songs = write_songs(folder / "songs.npz")
    run = folder / "run"
    assert fit(songs, run, "updates=5", "validate_every=3") == 0
    return songs, run


def times_of(run):
    return {path: path.stat().st_mtime_ns for path in run.iterdir()}


def test_fit_keeps_the_best_model_and_writes_logs(finished):
    _, run = finished
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["updates"] == 5 and record["stopped_by"] == "updates"
    assert record["settings"]["latent_dim"] == 3
    assert record["identity"]["backend"] == keras.backend.backend()
    assert record["command"].startswith("python -m recipes fit jsb ")
    rows = RunFolder(run).read_log()
    assert [row["updates"] for row in rows] == [4, 5]
    with open(run / "log.csv") as file:
        assert [int(r["updates"]) for r in csv.DictReader(file)] == [4, 5]
    best = max(rows, key=lambda row: row["val_bound_per_step"])
    assert record["best"] == best["val_bound_per_step"]
    assert record["best_updates"] == best["updates"]
    model = keras.saving.load_model(run / "best.keras")
    assert model.cell.latent_dim == 3
    assert sorted(path.name for path in run.iterdir()) == sorted(
        ["best.keras", "log.csv", "log.jsonl", "run.json", "state.npz"]
    )


def test_a_finished_run_is_left_alone(finished, capsys):
    songs, run = finished
    before = times_of(run)
    assert fit(songs, run, "updates=5", "validate_every=3") == 0
    assert "is finished" in capsys.readouterr().out
    assert times_of(run) == before


def test_another_run_in_the_folder_is_refused(finished, capsys):
    songs, run = finished
    before = times_of(run)
    assert fit(songs, run, "updates=6", "validate_every=3") == 2
    error = capsys.readouterr().err
    assert "updates=5 there and 6 here" in error
    assert error.count("\n") == 1
    assert times_of(run) == before


def test_other_data_in_the_same_run_are_refused(finished, tmp_path, capsys):
    _, run = finished
    others = write_songs(tmp_path / "others.npz", seed=1)
    assert fit(others, run, "updates=5", "validate_every=3") == 2
    assert "data_digest" in capsys.readouterr().err


def test_a_folder_of_other_files_is_refused(songs, tmp_path, capsys):
    run = tmp_path / "thesis"
    run.mkdir()
    (run / "chapter.txt").write_text("precious")
    assert fit(songs, run, "updates=3") == 2
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["chapter.txt"]


class KilledError(Exception):
    pass


def test_a_run_that_stopped_ends_like_one_that_did_not(
    songs, tmp_path, monkeypatch
):
    extra = ("updates=16", "validate_every=3", "dropout=0.3", "schedule=cosine")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert fit(songs, whole, *extra) == 0
    append_log = RunFolder.append_log

    def append_and_die(self, row):
        append_log(self, row)
        if row["updates"] == 12:
            raise KilledError

    monkeypatch.setattr(RunFolder, "append_log", append_and_die)
    with pytest.raises(KilledError):
        fit(songs, cut, *extra)
    assert 0 < state_of(cut)[1]["updates"] < 12
    monkeypatch.undo()
    assert fit(songs, cut, *extra) == 0
    assert_same_run(whole, cut)


def test_patience_stops(songs, tmp_path):
    run = tmp_path / "run"
    extra = ("updates=600", "validate_every=3", "patience=2")
    assert fit(songs, run, *extra, "learning_rate=1.0") == 0
    _, progress = state_of(run)
    assert progress["stopped_by"] == "patience"
    assert progress["wait"] == 2
    assert progress["updates"] - progress["best_updates"] == 8


@pytest.mark.parametrize("limit", ["minutes", "cpu_minutes"])
def test_a_limit_of_time_stops_training(songs, tmp_path, limit):
    run = tmp_path / "run"
    assert fit(songs, run, f"{limit}=0.0001", "updates=1000") == 0
    _, progress = state_of(run)
    assert progress["stopped_by"] == limit
    assert progress["updates"] < 1000
    assert (run / "best.keras").is_file()


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for name in ("monotonic", "process_time"):
            monkeypatch.setattr(loop.time, name, lambda: self.now)


def test_compilation_takes_no_time_from_a_limit(monkeypatch):
    clock = Clock(monkeypatch)
    steps = [np.zeros((length, 1)) for length in (4, 4, 4, 9, 9, 9)]
    train, valid = (
        SequenceDataset(steps, 1, shuffle=False, bucket_boundaries=(4, 9))
        for _ in range(2)
    )
    settings = types.SimpleNamespace(
        updates=100, minutes=0.1, cpu_minutes=None, patience=9
    )
    limits = loop.Limits(settings, train, valid)
    limits.set_model(types.SimpleNamespace(stop_training=False))
    limits.on_train_begin()
    lengths = train.padded_lengths()
    assert lengths == valid.padded_lengths() and set(lengths) == {4, 9}

    def seconds(epoch, batch):
        """The first two batches of each length compile."""
        seen = lengths[: batch + 1].count(lengths[batch])
        return 100.0 if epoch == 0 and seen <= 2 else 1.0

    times = []
    for epoch in range(2):
        limits.on_epoch_begin(epoch)
        for batch in range(6):
            limits.on_train_batch_begin(batch)
            clock.now += seconds(epoch, batch)
            limits.on_train_batch_end(batch)
            times.append(limits.progress.seconds)
        limits.on_test_begin()
        for batch in range(6):
            limits.on_test_batch_begin(batch)
            clock.now += seconds(epoch, batch)
            limits.on_test_batch_end(batch)
    # Two batches of the first epoch, and of its validation, compile nothing.
    assert clock.now == 800 + 16
    assert times[5] == 2.0
    assert times[6:] == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    # 0.1 minutes are six seconds.
    assert limits.progress.stopped_by == "minutes"
    assert times[7] == 6.0 and limits.model.stop_training


def test_there_are_signs_of_life_before_the_first_validation(
    monkeypatch, capsys
):
    clock = Clock(monkeypatch)
    progress = loop.Progress()
    settings = types.SimpleNamespace(updates=9)
    console = loop.Console(progress, settings)
    console.on_train_begin()
    for seconds in (50.0, 1.0, 15.0, 6.0):
        clock.now += seconds
        progress.updates += 1
        console.on_train_batch_end(progress.updates - 1)
    console.on_train_end()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "Compiling the first updates ...",
        "First update after 50 s.",
        f"{4:>8} {1:>6}",
    ]


@pytest.mark.slow
def test_a_run_that_was_killed_ends_like_one_that_was_not(songs, tmp_path):
    extra = [*SMALL, "updates=1200", "validate_every=12", "patience=500"]
    command = [sys.executable, "-m", "recipes", "fit", "jsb"]
    command += [f"data_path={songs}", *extra]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = subprocess.run(
        [*command, f"run={whole}"], cwd=REPOSITORY, capture_output=True
    )
    assert run.returncode == 0, run.stderr
    for lines in (5, 20):
        process = subprocess.Popen(
            [*command, f"run={cut}"],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
        )
        while len(RunFolder(cut).read_log()) < lines:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert json.loads((cut / "run.json").read_text())["status"] == "running"
    subprocess.run([*command, f"run={cut}"], cwd=REPOSITORY, check=True)
    assert_same_run(whole, cut)
