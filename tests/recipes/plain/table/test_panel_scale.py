"""Tables of many series, without the minutes that they take."""

import json

import numpy as np

from recipes.experiments import panel_scale
from recipes.experiments.panel_scale import ScaleSettings, write_table
from recipes.table.config import FitSettings
from recipes.table.data import load

FOUND = [
    dict(zip(panel_scale._HEADS, row, strict=True))
    for row in ((1, 2.0, 3.25, 0.5, 6.04, 700.6), (1_000, 2, 300, 50, 1e4, 1e3))
]


def panel_of(path, count, **settings):
    write_table(path, count, ScaleSettings(**settings))
    panel, _ = load(FitSettings(data="table", data_path=str(path)))
    return panel


def test_a_series_is_the_same_in_tables_of_all_sizes(tmp_path):
    one, many = (panel_of(tmp_path / f"{n}.csv", n) for n in (1, 3))
    assert [len(panel.series) for panel in (one, many)] == [1, 3]
    assert one.frequency.name == "month" and one.seasons == (12.0,)
    assert all(one.values.shape == (120,) for one in many.series)
    first = [panel.series[0].values for panel in (one, many)]
    np.testing.assert_array_equal(*first)
    assert not np.array_equal(many.series[0].values, many.series[1].values)
    other = panel_of(tmp_path / "other.csv", 1, seed=1, num_steps=24)
    assert not np.array_equal(other.series[0].values, first[0][:24])


def test_what_was_measured_is_a_table():
    lines = panel_scale.table(FOUND).splitlines()
    assert lines[0].startswith("| series | read | fit |")
    assert lines[2] == "| 1 | 2.0 | 3.2 | 0.5 | 6.0 | 701 |"
    assert lines[3] == "| 1,000 | 2.0 | 300.0 | 50.0 | 10,000.0 | 1,000 |"


def test_each_table_is_measured_in_a_process_of_its_own(
    monkeypatch, tmp_path, capsys
):
    used = []

    class Process:
        def __init__(self, most, context):
            used.append((most, context.get_start_method()))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, call, count, settings):
            assert call is panel_scale.measure
            row = next(row for row in FOUND if row["series"] == count)
            return type("Future", (), {"result": lambda self: row})()

    executor = "concurrent.futures.ProcessPoolExecutor"
    monkeypatch.setattr(executor, Process)
    path = tmp_path / "scale.json"
    argv = ["series=1,1000", f"output={path}"]
    assert panel_scale.PROGRAM.main(argv) == 0
    assert used == [(1, "spawn")] * 2
    assert panel_scale.table(FOUND) in capsys.readouterr().out
    content = json.loads(path.read_text())
    assert content["tables"] == FOUND
    assert content["settings"]["series"] == [1, 1000]
