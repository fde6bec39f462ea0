"""Data sets: a table of one's own, and two that statsmodels ships."""

import csv
import importlib.util
import pathlib

from recipes.errors import RecipeError
from recipes.packages import require
from recipes.table.panel import make_panel
from recipes.table.reading import read_table

# Of the quarterly accounts of the United States, 1959 to 2009.
_ECONOMY = (
    *("realgdp", "realcons", "realinv", "realgovt", "realdpi"),
    *("cpi", "m1", "tbilrate", "unemp"),
)
_MONTHS = 12
# Longer ones cost ARIMA minutes an origin.
_FIRST_YEAR = 1980


def load(settings):
    """Returns the series of a data set, and the roles of its columns.

    Args:
        settings: `FitSettings`.
    """
    if settings.data_path is not None:
        return make_panel(read_table(settings.data_path), settings)
    if settings.data == "table":
        raise RecipeError(
            "Name the file of the table: forecast sales.csv, or "
            "data_path=sales.csv. Received: no data_path."
        )
    return make_panel(_EMBEDDED[settings.data](), settings)


def _shipped(name):
    """Finds a CSV file of statsmodels, which need not be imported."""
    require("This data set", "table", "statsmodels")
    found = importlib.util.find_spec("statsmodels")
    return pathlib.Path(found.origin).parent / "datasets" / name / f"{name}.csv"


def _rows(name):
    path = _shipped(name)
    if not path.is_file():
        raise RecipeError(
            "statsmodels does not hold its data sets as it used to. "
            f"Received: {str(path)!r}, which is missing."
        )
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def climate():
    """Reads monthly means since 1980: the sea off Peru, and carbon dioxide.

    Returns:
        Columns `month`, `series` and `value`.
    """
    table = {"month": [], "series": [], "value": []}
    for row in _rows("elnino"):
        year, *months = row.values()
        if int(float(year)) < _FIRST_YEAR:
            continue
        for number, value in enumerate(months[:_MONTHS], 1):
            _add(table, f"{int(float(year))}-{number:02d}", "sea", value)
    weeks = {}
    for row in _rows("co2"):
        date = row["date"].strip()
        if row["co2"].strip() and int(date[:4]) >= _FIRST_YEAR:
            month = f"{date[:4]}-{date[4:6]}"
            weeks.setdefault(month, []).append(float(row["co2"]))
    for month, values in sorted(weeks.items()):
        _add(table, month, "co2", f"{sum(values) / len(values):.3f}")
    return table


def economy():
    """Reads quarterly accounts of the United States.

    Returns:
        Columns `quarter`, `series` and `value`.
    """
    table = {"quarter": [], "series": [], "value": []}
    for row in _rows("macrodata"):
        when = f"{int(float(row['year']))} Q{int(float(row['quarter']))}"
        for name in _ECONOMY:
            _add(table, when, name, row[name])
    return table


def _add(table, *cells):
    for column, cell in zip(table.values(), cells, strict=True):
        column.append(cell)


_EMBEDDED = {"climate": climate, "economy": economy}
