"""Tables from files: roles, regular times, and what is refused."""

import numpy as np
import pytest

from recipes.errors import RecipeError
from recipes.table.config import FitSettings
from recipes.table.panel import make_panel
from recipes.table.periods import (
    Frequency,
    calendar_columns,
    find_frequency,
    parse_times,
)
from recipes.table.reading import read_table


def panel_of(columns, **settings):
    columns = {name: [str(x) for x in own] for name, own in columns.items()}
    return make_panel(columns, FitSettings(data="table", **settings))


def months(count, first=0):
    return [
        f"{2020 + (first + i) // 12}-{(first + i) % 12 + 1:02d}"
        for i in range(count)
    ]


def long_table(lengths=(30, 26)):
    table = {"month": [], "shop": [], "sales": []}
    for number, length in enumerate(lengths):
        table["month"] += months(length, first=3 * number)
        table["shop"] += [f"shop {number}"] * length
        table["sales"] += [10 * number + i for i in range(length)]
    return table


def test_columns_have_the_roles_that_they_look_like():
    panel, roles = panel_of(long_table())
    assert (roles.time, roles.series, roles.target) == (
        "month",
        ("shop",),
        ("sales",),
    )
    assert [one.name for one in panel.series] == ["shop 0", "shop 1"]
    assert [len(one.values) for one in panel.series] == [30, 26]
    assert panel.frequency.name == "month" and panel.seasons == (12.0,)
    assert panel.frequency.labels([panel.series[1].start]) == ["2020-04"]


def test_columns_that_describe_a_series_or_its_days_tell_none_apart():
    table = long_table((30, 30))
    table["units"] = table.pop("sales")
    table["area"] = [120] * 30 + [300] * 30
    table["kind"] = ["large", "small"] * 30
    table["city"] = ["Ulm"] * 60
    panel, roles = panel_of(table)
    assert (roles.series, roles.target) == (("shop",), ("units",))
    assert (roles.static, roles.unused) == (("area", "city"), ("kind",))
    assert [len(one.values) for one in panel.series] == [30, 30]
    # A column that tells two series apart although no time stands twice.
    one_by_one = long_table((30,))
    one_by_one["shop"][15:] = ["another"] * 15
    assert len(panel_of(one_by_one)[0].series) == 2
    # What has the name of a target is one, also where it never changes.
    constant = {**long_table((30,)), "sales": [0] * 30, "price": range(30)}
    assert panel_of(constant)[1].target == ("sales",)


def test_a_column_without_a_name_is_no_target_and_values_no_series():
    table = long_table((30,))
    del table["shop"]
    table["units"] = table.pop("sales")
    table["column 1"] = range(30)
    table["price"] = [f"${i}" for i in range(30)]
    panel, roles = panel_of(table)
    assert roles.target == ("units",) and len(panel.series) == 1
    assert roles.unused == ("column 1", "price")
    # Numbers of rows tell no series apart, whatever they are called.
    panel, roles = panel_of({"id": range(30), **table})
    assert len(panel.series) == 1 and "id" in roles.unused


def test_a_table_without_names_is_refused():
    first = {"2019-12": months(30), "3": range(30)}
    with pytest.raises(RecipeError, match="must hold names"):
        panel_of(first)


def test_times_between_rows_are_missing_steps_and_order_does_not_matter():
    table = long_table((30,))
    kept = [i for i in range(30) if i not in (4, 5, 20)]
    table = {name: [own[i] for i in kept] for name, own in table.items()}
    sorted_panel, _ = panel_of(table)
    np.testing.assert_array_equal(
        np.flatnonzero(np.isnan(sorted_panel.series[0].values)), [4, 5, 20]
    )
    turned, _ = panel_of({name: own[::-1] for name, own in table.items()})
    assert turned.digest() == sorted_panel.digest()
    assert "not sorted" in turned.notes[0] and not sorted_panel.notes


def test_empty_targets_at_the_end_are_the_future_of_what_is_known():
    table = long_table((30,))
    table["sales"][25:] = [""] * 5
    table["price"] = [1 + i % 3 for i in range(30)]
    panel, _ = panel_of(table, known=("price",), target=("sales",))
    one = panel.series[0]
    assert len(one.values) == 25 and one.known.shape == (30, 1)
    assert one.fits(5) and not one.fits(6)


@pytest.mark.parametrize(
    "changed, settings, message",
    [
        ({"sales": ["many"] * 30}, {"target": ("sales",)}, "'many' in 30 of"),
        ({"sales": [""] * 30}, {}, "'shop 0' with none: all are missing"),
        ({"sales": [1, 2] + [""] * 28}, {}, "4 observed values"),
        (
            {"shop": ["a"] * 27 + ["b", "c", "c"]},
            {},
            "'b' with 1, and 1 more such series",
        ),
        ({"sales": ["1,2"] * 30}, {}, "'sales' is of text, such as '1,2'"),
        ({"sales": ["1", "", "x"] * 10}, {}, "is of text, such as 'x'"),
        (
            {"sales": [*range(29), "x"], "visitors": range(30)},
            {},
            "'sales' with 'x' in 1 of 30 rows",
        ),
        ({"sales": ["$1"] * 30}, {}, "'sales' is of text, such as .\\$1"),
        ({"month": months(29) + months(1)}, {}, "2020-01.* 2 times"),
        (
            {"month": [f"2020-01-{i % 28 + 1:02d}" for i in range(30)]},
            {"frequency": "month"},
            "2 times",
        ),
        (
            {"month": [f"2020-01-{i + 1:02d}" for i in range(30)]},
            {"frequency": "month"},
            "30 rows in 2020-01 of shop 0",
        ),
        ({"month": ["soon"] * 30}, {}, "No column holds times"),
        ({"month": [*months(29), "?"]}, {}, "'month' holds '\\?'"),
        ({"month": ["3/2/2020", *months(29)]}, {}, "cannot be told apart"),
        ({}, {"frequency": "step"}, "`frequency` of dates is one of minute"),
        (
            {"month": [*months(29), "soon"]},
            {"time": "month"},
            "time='month' with 'soon'",
        ),
        (
            {"copy": [3 * i + 1 for i in range(30)]},
            {"target": ("sales",), "known": ("copy",)},
            "must not tell the target",
        ),
        ({}, {"target": ("sales",), "known": ("sales",)}, "one role"),
        ({}, {"target": ("sale",)}, "Did you mean 'sales'"),
        ({"b": range(30)}, {"target": None}, "could be the target"),
        (
            {"price": [""] + [1] * 29},
            {"target": ("sales",), "known": ("price",)},
            "1 steps without, the first of them 2020-01",
        ),
        ({"sales": ["-inf"] + [1] * 29}, {}, "'sales' with inf"),
        ({"sales": ["1e31"] + [1] * 29}, {}, "numbers of at most 1e.30"),
        (
            {"month": ["2020-01-01", "2020-01-09", *months(28, 2)]},
            {"frequency": "week"},
            "whole steps of a week apart",
        ),
    ],
)
def test_what_cannot_be_forecast_is_refused(changed, settings, message):
    table = {**long_table((30,)), **changed}
    if "b" in table:  # no name tells which is the target
        table["a"] = table.pop("sales")
    with pytest.raises(RecipeError, match=message):
        panel_of(table, **settings)


def test_csv_files_of_other_habits_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "\ufeffTag;Wert\n31.01.2020;1,5\n\n01.02.2020;NA\n", "utf-8"
    )
    assert read_table(path) == {
        "Tag": ["31.01.2020", "01.02.2020"],
        "Wert": ["1.5", "NA"],
    }
    path.write_text("time,y\n2020-01,1,2\n")
    with pytest.raises(ValueError, match="line 2 of 3 cells"):
        read_table(path)
    # Row numbers of pandas, and what a spreadsheet leaves at the end.
    path.write_text(",time,y,\n0,2020-01,1,\n\n1,2020-02,2,\n")
    columns = read_table(path)
    assert list(columns) == ["column 1", "time", "y"]
    path.write_text(",time,y,\n0,2020-01,1,\n\n1,2020-02,2\n")
    with pytest.raises(ValueError, match="line 4 of 3 cells"):
        read_table(path)
    path.write_bytes(b"")
    with pytest.raises(RecipeError, match="0 columns and no row"):
        read_table(path)
    path.write_bytes("time,größe\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"Save it as such a file\."):
        read_table(path)
    path.write_text("time,y\n")
    with pytest.raises(RecipeError, match="no row"):
        read_table(path)
    with pytest.raises(RecipeError, match="must be a file"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "texts, name, labels",
    [
        (["2020-01-31", "2020-02-29", "2020-03-31"], "month", "2020-01"),
        (["2020 Q1", "2020-Q2", "2020Q3"], "quarter", "2020-01"),
        (["1950", "1951", "1952"], "step", "1950"),
        (["2020-01-06", "2020-01-13", "2020-01-20"], "week", "2020-01-06"),
        (["2020-W53", "2021W01", "2021-W02"], "week", "2020-12-28"),
        (["31/01/2020", "01/02/2020", "02/02/2020"], "day", "2020-01-31"),
        (
            ["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01T02:00"],
            "hour",
            "2020-01-01T00",
        ),
        (
            ["2020-01-01 00:05", "2020-01-01 00:20", "2020-01-01 00:35"],
            "15min",
            "2020-01-01T00:05",
        ),
    ],
)
def test_times_are_steps_of_a_frequency(texts, name, labels):
    times = parse_times(texts)
    frequency = find_frequency([times])
    assert frequency.name == name
    steps = frequency.numbers(times)
    np.testing.assert_array_equal(np.diff(steps), 1)
    assert frequency.labels(steps[:1]) == [labels]


def test_what_holds_no_times_is_known_as_such():
    assert parse_times(["north", "south"]) is None
    assert parse_times(["2020-01", ""]) is None
    # Day or month: nobody can tell.
    assert parse_times(["02/01/2020", "03/02/2020"]) is None


def test_the_calendar_knows_weekdays():
    frequency = Frequency("month")
    days, weekdays = calendar_columns(frequency, np.array([601, 602])).T
    np.testing.assert_array_equal(days, [29, 31])  # February, March 2020
    np.testing.assert_allclose(weekdays, [20 - 29 * 5 / 7, 22 - 31 * 5 / 7])
    assert calendar_columns(Frequency("week"), np.arange(3)).shape == (3, 0)
