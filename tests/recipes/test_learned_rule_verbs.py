"""`fit`, `evaluate` and `tune` of rules, from the command line."""

import json

import keras
import numpy as np
import pytest

from recipes.cli import main
from recipes.learned_rule import evaluate, meta_train, methods, search, sources
from recipes.learned_rule.config import FitSettings
from recipes.training.run_folder import RunFolder
from tests.recipes.test_learned_rule import letters


@pytest.fixture
def trainings(monkeypatch):
    """What `fit` asks for, in the place of hours of training."""
    asked = []

    def train(run, *given, say, **options):
        asked.append((given, options))
        model = meta_train.new_model(given[1], shapes=((64, (3,), 1),))
        model.save(run / "meta.keras")
        say({"updates": 7, "cpu_seconds": 1, "loss": 1.0, "accuracy": 0.5})
        return 7

    monkeypatch.setattr(meta_train, "train", train)
    return asked


def test_fit_meta_trains_as_it_is_told(trainings, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["fit", "learned_rule", f"run={run}", "seed=3", "units=8,5-4"]
    words += ["unrolls=2,4", "horizons=1,5", "estimator=evolution"]
    assert main([*words, "minutes=2"]) == 0
    out = capsys.readouterr().out
    assert "7 updates, 1 s: meta-objective 1.0000, accuracy 0.500" in out
    ((given, options),) = trainings
    assert given == (2.0, 3, 2e-3)
    assert options["shapes"] == [(64, (8,), 1), (64, (5, 4), 1)]
    drawn = FitSettings(units=("8", "5-4"), num_tasks=3).shapes
    assert drawn == [(64, ((8,), (5, 4)), 3)]
    assert options["unrolls"] == (2, 4) and options["horizons"] == (1, 5)
    assert options["estimator"] == "evolution" and options["updates"] is None
    record = RunFolder(run).read_record()
    assert record["status"] == "finished" and record["updates"] == 7
    assert "unrolls=2,4" in record["command"]
    # More time is no other run; another estimator is.
    assert main([*words, "minutes=9"]) == 0
    assert main([*words, "estimator=backpropagation"]) == 2
    assert "holds another run (estimator=" in capsys.readouterr().err


def test_evaluate_prints_the_table_of_a_run_and_of_a_preset(
    trainings, tmp_path, monkeypatch, capsys
):
    raw = {"raw pixels": methods.raw_pixels}
    monkeypatch.setattr(evaluate, "METHODS", raw)
    monkeypatch.setattr(evaluate, "CELLS", ((5, 1),))
    seen, found = [], []

    def load_rule(settings):
        found.append(load(settings))
        return found[-1]

    def load_glyphs(path):
        seen.append(path)
        data = letters(960)
        data["letter"] = np.arange(960) // 8 % 43
        return data

    load, score = sources.load_rule, evaluate.score
    monkeypatch.setattr(evaluate, "load_rule", load_rule)
    monkeypatch.setattr(sources, "load_glyphs", load_glyphs)
    run, lines = tmp_path / "run", tmp_path / "lines.jsonl"
    assert main(["fit", "learned_rule", f"run={run}"]) == 0
    np.savez(run / "glyphs.npz", nothing=0)
    capsys.readouterr()
    words = ["held_out=letters", "trials=4"]
    assert main(["evaluate", str(run), *words, f"output={lines}"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("letters\n") and "| raw pixels | " in out
    assert json.loads(lines.read_text())["cells"][0]["ways"] == 5
    # What the file holds is not scored again.
    monkeypatch.setattr(evaluate, "score", lambda *_: pytest.fail())
    assert main(["evaluate", str(run), *words, f"output={lines}"]) == 0
    assert capsys.readouterr().out == out
    monkeypatch.setattr(evaluate, "score", score)
    assert main(["evaluate", "learned-rule-slim", *words]) == 0
    assert capsys.readouterr().out == out
    assert seen[0] == run / "glyphs.npz"
    begun, _, shipped = (
        keras.ops.convert_to_numpy(r.weights[0]) for r in found
    )
    assert begun.shape == shipped.shape and np.any(begun != shipped)


def test_tune_searches_what_merges_the_terms(monkeypatch):
    asked = []
    monkeypatch.setattr(search, "run_search", lambda *a: asked.append(a))
    assert main(["tune", "learned_rule", "trials=3", "seed=2"]) == 0
    assert asked == [("runs/learned_rule-tune", 3, 2)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["forecast", "learned_rule"], "learned_rule is none"),
        (["backtest", "learned_rule"], "learned_rule is none"),
        (["fit", "learned_rule", "horizons=3,1"], "Received: horizons='3,1'"),
        (["fit", "learned_rule", "units=8-"], "Received: units with '8-'"),
        (["fit", "learned_rule", "first=no.keras"], "Received: 'no.keras'"),
        (["evaluate", "learned-rule-slim", "num_particles=3"], "no setting"),
    ],
)
def test_what_a_rule_cannot_be_told_is_refused(
    words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
