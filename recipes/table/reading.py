"""Tables from files: columns of texts and numbers, and the role of each."""

import csv
import dataclasses
import pathlib
import re

import numpy as np

from recipes.errors import RecipeError, reading
from recipes.packages import require
from recipes.settings.base import nearest
from recipes.table.periods import odd_time, parse_times

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_UNNAMED = re.compile(r"column \d+$")
_TARGETS = ("y", "value", "target", "sales", "demand", "count", "observation")
_TIMES = ("time", "date", "ds", "timestamp", "month", "period", "year", "day")
_TIMES += ("week", "datetime")
_SERIES = ("unique_id", "series", "id", "item", "store", "name", "region")


@dataclasses.dataclass(frozen=True)
class Roles:
    """Which column is what.

    Attributes:
        time: Column of times.
        series: Columns that tell one series from another.
        target: Columns to forecast.
        known: Columns that are known ahead.
        static: Columns that stay the same in each series, which are not used:
            each series is fitted on its own.
        unused: The others.
    """

    time: str
    series: tuple[str, ...]
    target: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    unused: tuple[str, ...]

    def describe(self):
        """Returns a line for each role that a column has."""
        return "\n".join(
            f"  {role:<7} {', '.join(columns)}"
            for role, columns in {
                "time": (self.time,),
                "series": self.series,
                "target": self.target,
                "known": self.known,
                "static": self.static,
                "unused": self.unused,
            }.items()
            if columns
        )


def read_table(path):
    """Returns the columns of a CSV or Parquet file, as lists by name.

    Args:
        path: Path of the file.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise RecipeError(
            f"`data_path` must be a file. Received: data_path={str(path)!r}."
        )
    if path.suffix.lower() in (".parquet", ".pq"):
        require("A Parquet file", "table", "pandas", "pyarrow")
        import pandas

        with reading(path, "a Parquet file"):
            frame = pandas.read_parquet(path)
            if not isinstance(frame.index, pandas.RangeIndex):
                frame = frame.reset_index()
            columns = {
                str(name): ["" if x is None else str(x) for x in frame[name]]
                for name in frame.columns
            }
    else:
        expected = "a CSV file, UTF-8, with names in its first line"
        with reading(path, expected, "Save it as such a file."):
            columns = _read_csv(path)
    if not columns or not next(iter(columns.values())):
        raise RecipeError(
            "A table must have a line of names, and rows. "
            f"Received: data_path={str(path)!r}, of {len(columns)} columns "
            "and no row."
        )
    return columns


def _read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        delimiter = max(",;\t|", key=first.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter)
        lines = [
            (reader.line_num, row)
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    names = [name.strip() for name in lines[0][1]] if lines else []
    # A column of row numbers has no name, and one that is left over no cell.
    names = [name or f"column {i}" for i, name in enumerate(names, 1)]
    if len(set(names)) != len(names):
        raise ValueError(f"names of columns that are not different: {names}")
    for number, row in lines:
        if len(row) != len(names):
            raise ValueError(
                f"line {number} of {len(row)} cells, for {len(names)} names"
            )
    rows = [row for _, row in lines[1:]]
    if delimiter == ";":  # where a comma is a decimal point
        rows = [[_decimal_point(cell) for cell in row] for row in rows]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return {
        name: cells
        for name, cells in columns.items()
        if not _UNNAMED.match(name) or any(map(str.strip, cells))
    }


def _decimal_point(cell):
    whole, comma, rest = cell.strip().partition(",")
    if comma and whole.lstrip("+-").isdigit() and rest.isdigit():
        return f"{whole}.{rest}"
    return cell


def numbers(texts):
    """Returns texts as float64, NaN where missing, or None for other texts."""
    try:
        return np.array(
            [
                np.nan if text.strip().lower() in MISSING else float(text)
                for text in texts
            ],
            "float64",
        )
    except ValueError:
        return None


def _not_numbers(texts):
    """Returns the texts for which `numbers` gives None."""
    return [text for text in texts if numbers([text]) is None]


def _odd_cells(texts):
    """Returns the cells that are no numbers, where most others are."""
    if numbers(texts) is not None:
        return []
    there = [text for text in texts if text.strip().lower() not in MISSING]
    odd = _not_numbers(there)
    return odd if 2 * len(odd) < len(there) else []


def find_roles(columns, settings):
    """Returns the role of each column: as told, or as it looks.

    Args:
        columns: As from `read_table`.
        settings: Has `time`, `series`, `target` and `known`.

    Raises:
        RecipeError: A column is not there, or a role not clear.
    """
    series = settings.series or ()
    for role in ("series", "target", "known"):
        for name in getattr(settings, role) or ():
            _check_there(columns, role, name)
    if settings.time is not None:
        _check_there(columns, "time", settings.time)
    taken = {*series, *(settings.target or ()), *settings.known}
    time = settings.time or _find_time(columns, taken)
    if parse_times([time]) is not None:
        raise RecipeError(
            "The first line of a table must hold names of columns. "
            f"Received: {', '.join(columns)}."
        )
    left = [name for name in columns if name not in taken | {time}]
    if settings.series is None:
        series = _find_series(columns, time, left)
        left = [name for name in left if name not in series]
    codes = _codes(columns, series)
    static = [n for n in left if _is_static(columns[n], codes)]
    likely = [n for n in left if n not in static or n.lower() in _TARGETS]
    target = settings.target or _find_target(columns, likely or left)
    static = tuple(name for name in static if name not in target)
    unused = tuple(n for n in left if n not in {*target, *static})
    roles = Roles(time, tuple(series), target, settings.known, static, unused)
    _check_apart(roles)
    return roles


def _check_there(columns, role, name):
    if name not in columns:
        raise RecipeError(
            f"The columns are {', '.join(columns)}. "
            f"Received: {role}={name!r}.{nearest(name, columns)}"
        )


def _check_apart(roles):
    names = [roles.time, *roles.series, *roles.target, *roles.known]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RecipeError(
            "A column has one role: a target among the known columns would "
            "tell the model what it is to forecast. Received: "
            f"{', '.join(sorted(twice))} in two."
        )


def _find_time(columns, taken):
    left = [name for name in columns if name not in taken]
    parsed = {name: parse_times(columns[name]) for name in left}
    for name in left:
        if parsed[name] is not None and parsed[name].dtype.kind == "M":
            return name
    for name in left:
        if parsed[name] is not None and name.lower() in _TIMES:
            return name
    near = [
        f" {name!r} holds {odd_time(columns[name])}."
        for name in left
        if name.lower() in _TIMES or parse_times(columns[name][:1]) is not None
        if parsed[name] is None
    ]
    raise RecipeError(
        "No column holds times, such as 2024-01-31, 2024-01 or 2024 Q1, in "
        "each row. Name one with time=... Received: columns "
        f"{', '.join(columns)}.{near[0] if near else ''}"
    )


def _find_series(columns, time, left):
    """Finds columns that tell series apart, and those named as if they did.

    Those of text are left out, without which no time stands twice, where they
    go back and forth in time, as the weather does, only describe a series, or
    leave most series with one row, as numbers of rows do; and numbers with
    some text among them.
    """
    found = [name for name in left if numbers(columns[name]) is None]
    named = [n for n in left if n.lower() in _SERIES]
    found += [name for name in named if name not in found]
    times = parse_times(columns[time])
    if times is None:
        return tuple(found)
    for name in found[::-1]:
        rest = [x for x in found if x != name]
        if name not in named and _odd_cells(columns[name]):
            found = rest
            continue
        codes, both = _codes(columns, rest), _codes(columns, [*rest, name])
        if len(set(zip(codes, times.tolist(), strict=True))) < len(codes):
            continue
        ordered = both[np.lexsort((times, codes))]
        blocks = 1 + np.count_nonzero(ordered[1:] != ordered[:-1])
        several = len(set(both))
        describes = rest and _is_static(columns[name], codes)
        if 2 * several > len(both) or (
            name not in named and (blocks > several or describes)
        ):
            found = rest
    return tuple(found)


def _codes(columns, names):
    """Numbers rows, `(rows,)`: equal where all these columns are."""
    rows = len(next(iter(columns.values())))
    keys: dict = {}
    parts = [columns[name] for name in names] or [[""] * rows]
    texts = (tuple(x.strip() for x in row) for row in zip(*parts, strict=True))
    return np.array([keys.setdefault(text, len(keys)) for text in texts])


def _is_static(texts, codes):
    """Tells whether a column has one value in each series, if not missing."""
    pairs = zip(codes.tolist(), (x.strip() for x in texts), strict=True)
    seen = {pair for pair in pairs if pair[1].lower() not in MISSING}
    return 0 < len(seen) <= len({code for code, _ in seen})


def _find_target(columns, left):
    numeric = [name for name in left if numbers(columns[name]) is not None]
    named = [name for name in numeric if name.lower() in _TARGETS]
    if len(named) == 1:
        return tuple(named)
    for name in left:
        if odd := _odd_cells(columns[name]):
            raise RecipeError(
                "A column of numbers must hold no text: a cell that is empty "
                f"or NA is missing. Received: {name!r} with {odd[0]!r} in "
                f"{len(odd)} of {len(columns[name])} rows. Mend them, or name "
                "the column to forecast with target=..."
            )
    numeric = [
        name
        for name in numeric
        if not _UNNAMED.match(name) and name.lower() not in _SERIES
    ]
    if len(numeric) == 1:
        return tuple(numeric)
    if not numeric:
        odd = [
            f" {name!r} is of text, such as {_not_numbers(texts)[0]!r}."
            for name, texts in columns.items()
            if numbers(texts) is None and parse_times(texts) is None
        ]
        raise RecipeError(
            "No column of numbers is left to forecast. "
            f"Received: columns {', '.join(columns)}.{''.join(odd)}"
        )
    raise RecipeError(
        "Several columns of numbers could be the target. Name those to "
        "forecast with target=..., those that are known ahead with known=..., "
        "those that tell series apart with series=... "
        f"Received: {', '.join(numeric)}."
    )
