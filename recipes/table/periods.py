"""Regular times: what the step of a column of times is, and what follows."""

import dataclasses
import re
from datetime import date, datetime
from typing import NamedTuple

import numpy as np


class _Step(NamedTuple):
    """A step of time.

    Attributes:
        unit: The unit of NumPy in which steps are whole numbers, if any.
        size: How many of it a step has.
        below: Gaps of fewer days than this are steps of this kind, or shorter.
        horizon: How many steps are forecast where nothing else is said.
        seasons: In steps. A season of a year takes long data to see.
    """

    unit: str | None
    size: int
    below: float
    horizon: int
    seasons: tuple[float, ...] = ()


_KNOWN = {
    "minute": _Step("m", 1, 0.002, 60, (60.0, 1440.0)),
    "5min": _Step("m", 5, 0.005, 288, (288.0, 2016.0)),
    "10min": _Step("m", 10, 0.008, 144, (144.0, 1008.0)),
    "15min": _Step("m", 15, 0.015, 96, (96.0, 672.0)),
    "30min": _Step("m", 30, 0.03, 48, (48.0, 336.0)),
    "hour": _Step("h", 1, 0.9, 24, (24.0, 168.0)),
    "day": _Step("D", 1, 6, 28, (7.0, 365.25)),
    "week": _Step("D", 7, 27, 13, (365.25 / 7,)),
    "month": _Step("M", 1, 80, 12, (12.0,)),
    "quarter": _Step("M", 3, 350, 8, (4.0,)),
    "year": _Step("Y", 1, np.inf, 6),
    "step": _Step(None, 1, np.inf, 12),
}
FREQUENCIES = tuple(_KNOWN)
_NUMBERED = ("year", "step")
CALENDAR = {
    "day": ("first_of_month",),
    "month": ("days", "weekdays"),
    "quarter": ("days", "weekdays"),
}
_FORMATS = (
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y"),
    *("%d-%b-%Y", "%b %Y", "%B %Y", "%b-%y", "%Y%m%d"),
)
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])$", re.IGNORECASE)
_WEEK = re.compile(r"(\d{4})-?W(\d{2})$")
_SLASHES = re.compile(r"\d{1,2}/\d{1,2}/\d{4}$")


def parse_times(texts):
    """Returns a column as times, or None where it holds none.

    Args:
        texts: List of texts, such as 2024-01-31, 2024-01, 2024 Q1, 2024.

    Returns:
        An array of datetime64[s], or of int64 where all are whole numbers.
    """
    texts = [str(text).strip() for text in texts]
    if not texts or any(not text for text in texts):
        return None
    if all(re.fullmatch(r"[+-]?\d{1,6}", text) for text in texts):
        return np.array([int(text) for text in texts], "int64")
    for parse in (_parse_iso, _parse_quarters, _parse_weeks, _parse_slashes):
        found = parse(texts)
        if found is not None:
            return found
    for form in _FORMATS:
        try:
            found = [datetime.strptime(text, form) for text in texts]
        except ValueError:
            continue
        return np.array(found, "datetime64[s]")
    return None


def odd_time(texts):
    """Returns a text of a column that is no time, and why it is none.

    Args:
        texts: List of texts for which `parse_times` gives None.
    """
    odd = [text for text in texts if parse_times([text]) is None]
    if odd and not _SLASHES.match(odd[0].strip()):
        return repr(odd[0])
    if odd or all(_SLASHES.match(text.strip()) for text in texts):
        return (
            f"{(odd or texts)[0]!r}, whose day and month cannot be told apart: "
            "write 2024-01-31"
        )
    return f"{texts[0]!r} and others of another form"


def _parse_iso(texts):
    # With a zone NumPy warns: times of one place need none.
    if any(not re.match(r"\d{4}-\d{2}", text) for text in texts):
        return None
    plain = [re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", text) for text in texts]
    if any(len(text) < 7 for text in plain):
        return None
    try:
        return np.array(plain, "datetime64[s]")
    except ValueError:
        return None


def _parse_quarters(texts):
    found = [_QUARTER.match(text) for text in texts]
    if not all(found):
        return None
    months = [f"{one[1]}-{3 * int(one[2]) - 2:02d}" for one in found]
    return np.array(months, "datetime64[s]")


def _parse_weeks(texts):
    """Reads weeks as ISO 8601 counts them; a week is its Monday."""
    found = [_WEEK.match(text) for text in texts]
    if not all(found):
        return None
    try:
        days = [date.fromisocalendar(int(w[1]), int(w[2]), 1) for w in found]
    except ValueError:
        return None
    return np.array(days, "datetime64[s]")


def _parse_slashes(texts):
    """Tells day from month where one is above 12; refuses where none is."""
    if not all(_SLASHES.match(text) for text in texts):
        return None
    parts = np.array([text.split("/") for text in texts], int)
    first, second = parts[:, 0].max(), parts[:, 1].max()
    if (first > 12) == (second > 12) and first > 1 and second > 1:
        return None
    month, day = (0, 1) if second > 12 or first == 1 else (1, 0)
    if second == 1 and first <= 12:
        month, day = 0, 1
    named = [f"{p[2]}-{p[month]:02d}-{p[day]:02d}" for p in parts]
    try:
        return np.array(named, "datetime64[s]")
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True)
class Frequency:
    """The step of a regular time index.

    Attributes:
        name: One of `FREQUENCIES`.
        phase: What is left when the number of a time is divided by the step.
    """

    name: str
    phase: int = 0

    def numbers(self, times):
        """Returns times as numbers of steps, or None for those between.

        Args:
            times: As from `parse_times`.
        """
        unit, size, *_ = _KNOWN[self.name]
        whole = times if unit is None else _in_unit(times, unit)
        found, rest = np.divmod(whole - self.phase, size)
        return None if np.any(rest) else found

    def labels(self, numbers):
        """Returns numbers of steps as texts."""
        unit, size, *_ = _KNOWN[self.name]
        whole = np.asarray(numbers, "int64") * size + self.phase
        if unit is None:
            return [str(one) for one in whole]
        return [str(one) for one in whole.astype(f"datetime64[{unit}]")]

    def dates(self, numbers):
        """Returns numbers of steps, of a length in time, as datetime64[D]."""
        unit, size, *_ = _KNOWN[self.name]
        whole = np.asarray(numbers, "int64") * size + self.phase
        return whole.astype(f"datetime64[{unit}]").astype("datetime64[D]")

    @property
    def seasons(self):
        """Lengths of the usual seasons, in steps."""
        return _KNOWN[self.name].seasons

    @property
    def horizon(self):
        """The number of steps that is usually forecast."""
        return _KNOWN[self.name].horizon


def _in_unit(times, unit):
    if not np.issubdtype(times.dtype, np.datetime64):
        # Bare numbers are years, where a year was asked for.
        return times - 1970 if unit == "Y" else times
    return times.astype(f"datetime64[{unit}]").astype("int64")


def find_frequency(times, name=None):
    """Returns the frequency of times.

    Args:
        times: Sorted times of all series, each series' own gaps.
        name: One of `FREQUENCIES`, or None: that of most of the gaps.

    Raises:
        ValueError: Times lie between the steps.
    """
    dated = np.issubdtype(times[0].dtype, np.datetime64)
    if name is None:
        name = _usual_step(times) if dated else "step"
    known = [one for one in _KNOWN if one != "step"] if dated else _NUMBERED
    if name not in known:
        raise ValueError(
            f"`frequency` of {'dates' if dated else 'whole numbers'} is one of "
            f"{', '.join(known)}. Received: frequency={name!r}."
        )
    unit, size, *_ = _KNOWN[name]
    every = np.concatenate(times)
    whole = every if unit is None else _in_unit(every, unit)
    phase = int(whole[0] % size)
    found = Frequency(name, phase)
    if found.numbers(every) is None:
        bad = every[(whole - phase) % size != 0][0]
        raise ValueError(
            f"Times must lie whole steps of a {name} apart. "
            f"Received: {bad} and {every[0]}. Name another `frequency`, or "
            "sum up the rows of each step."
        )
    return found


def _usual_step(times):
    days = [
        np.diff(one).astype("timedelta64[s]").astype(float) for one in times
    ]
    days = np.concatenate(days) / 86_400
    days = days[days > 0]
    step = float(np.median(days)) if len(days) else 30.0
    return next(name for name, known in _KNOWN.items() if step < known.below)


def calendar_columns(frequency, numbers):
    """Returns what the calendar tells of steps, `(steps, columns)`.

    Of months and quarters: the number of days, and how many more weekdays are
    among them than 5 of 7; of days: whether a month begins. Of others nothing.
    """
    if frequency.name not in CALENDAR:
        return np.zeros((len(numbers), 0))
    dates = frequency.dates(numbers)
    months = dates.astype("datetime64[M]")
    if frequency.name == "day":
        first = dates == months.astype("datetime64[D]")
        return first.astype("float64")[:, None]
    size = 3 if frequency.name == "quarter" else 1
    start = months.astype("datetime64[D]")
    end = (months + size).astype("datetime64[D]")
    length = (end - start).astype("float64")
    weekdays = np.busday_count(start, end).astype("float64")
    return np.stack([length, weekdays - length * 5 / 7], axis=1)
