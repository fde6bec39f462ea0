"""Series of a table on a regular time index."""

import dataclasses
import hashlib

import numpy as np

from recipes.errors import RecipeError
from recipes.table.periods import (
    CALENDAR,
    Frequency,
    calendar_columns,
    find_frequency,
    odd_time,
    parse_times,
)
from recipes.table.reading import MISSING, find_roles, numbers

_MAX_STEPS = 2**17  # of one series: a wrong time must not take all memory
_LEAST = 4
_LARGEST = 1e30  # weights are float32


@dataclasses.dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        name: What it is called.
        start: Number of its first step.
        values: `(time,)`, NaN where missing; ends with an observation.
        known: `(time + future, known columns)`.
    """

    name: str
    start: int
    values: np.ndarray
    known: np.ndarray

    def until(self, steps):
        """Returns the first steps; what is known ahead stays."""
        return dataclasses.replace(self, values=self.values[:steps])

    def fits(self, steps):
        """Returns whether all known columns reach this far."""
        return not self.known.shape[1] or self.steps_ahead() >= steps

    def steps_ahead(self):
        """Returns for how many steps all known columns go on without a gap."""
        ahead = self.known[len(self.values) :]
        missing = np.flatnonzero(~np.isfinite(ahead).all(axis=1))
        return int(missing[0]) if len(missing) else len(ahead)


@dataclasses.dataclass(frozen=True)
class Panel:
    """All series of a table.

    Attributes:
        series: The series.
        frequency: Step of their time index.
        seasons: Lengths of the seasons, in steps.
        known: Names of the known columns.
        notes: What the reader should be told.
    """

    series: tuple[Series, ...]
    frequency: Frequency
    seasons: tuple[float, ...]
    known: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def season(self):
        """Length of the first season in whole steps; 1 for none."""
        return max(1, round(self.seasons[0])) if self.seasons else 1

    def digest(self):
        """Returns a text that tells this content from another."""
        found = hashlib.sha256(repr((self.frequency, self.known)).encode())
        for one in self.series:
            found.update(f"{one.name} {one.start} {len(one.values)}".encode())
            found.update(one.values.tobytes() + one.known.tobytes())
        return found.hexdigest()[:16]

    def summary(self):
        """Returns a line on what there is."""
        lengths = [len(one.values) for one in self.series]
        missing = sum(int(np.isnan(one.values).sum()) for one in self.series)
        starts = [one.start for one in self.series]
        first = self.frequency.labels(starts)
        many = f"{min(lengths)} to {max(lengths)}"
        name = self.frequency.name
        seasons = ", ".join(f"{s:g}" for s in self.seasons) or "none"
        return (
            f"{len(lengths)} series of {many} steps"
            f"{'' if name == 'step' else ' of ' + _spoken(name)}, from "
            f"{first[np.argmin(starts)]}; {missing} missing; seasons of "
            f"{seasons}"
        )


def _spoken(name):
    if name[0].isdigit():
        return name
    return ("an " if name == "hour" else "a ") + name


def make_panel(columns, settings):
    """Returns the series of a table, and the roles of its columns.

    Args:
        columns: As from `recipes.table.reading.read_table`.
        settings: Of the columns; see `recipes.table.config.DataSettings`.

    Raises:
        RecipeError: What the table holds cannot be forecast.
    """
    roles = find_roles(columns, settings)
    times = parse_times(columns[roles.time])
    if times is None:
        raise RecipeError(
            "The column of times must hold times, such as 2024-01-31, 2024-01 "
            "or 2024 Q1, in each row. Received: "
            f"time={roles.time!r} with {odd_time(columns[roles.time])}."
        )
    values = {n: _numeric(columns, n, "target") for n in roles.target}
    known = [_numeric(columns, n, "known") for n in roles.known]
    known = np.stack(known, axis=1) if known else np.zeros((len(times), 0))
    groups = _groups(columns, roles.series)
    notes = _check_times(times, groups, roles.time)
    _check_leaks(values, known, roles)
    try:
        frequency = find_frequency(
            [np.sort(times[rows]) for rows in groups.values()],
            settings.frequency,
        )
    except ValueError as error:
        raise RecipeError(str(error)) from None
    steps = frequency.numbers(times)
    _check_steps(steps, groups, frequency)
    made = [
        _regular(
            _name(group, target, roles), steps[rows], of[rows], known[rows]
        )
        for group, rows in groups.items()
        for target, of in values.items()
    ]
    _check_lengths(made)
    for one in made:
        _check_known(one, frequency)
    if settings.calendar:
        made = [_with_calendar(one, frequency) for one in made]
    seasons = settings.season
    if seasons is None:
        seasons = _usual_seasons(frequency, made)
    seasons = tuple(one for one in seasons if one > 1)
    names = roles.known
    if settings.calendar:
        added = made[0].known.shape[1] - len(names)
        names += CALENDAR[frequency.name][:added]
    return Panel(tuple(made), frequency, seasons, names, tuple(notes)), roles


def _numeric(columns, name, role):
    found = numbers(columns[name])
    if found is None:
        bad = [
            text
            for text in columns[name]
            if text.strip().lower() not in MISSING and numbers([text]) is None
        ]
        raise RecipeError(
            f"`{role}` must be a column of numbers. Received: {role}={name!r} "
            f"with {bad[0]!r} in {len(bad)} of {len(columns[name])} rows. A "
            "cell that is empty or NA is missing; code categories by columns "
            "of 0 and 1."
        )
    large = np.abs(found[~np.isnan(found)]).max(initial=0.0)
    if large > _LARGEST:
        raise RecipeError(
            f"`{role}` must be numbers of at most {_LARGEST:g}: take another "
            f"unit, or empty a cell that is wrong. Received: {role}={name!r} "
            f"with {large:g}."
        )
    return found


def _groups(columns, series):
    """Returns numbers of the rows of each series, by the texts that name it."""
    if not series:
        return {(): np.arange(len(next(iter(columns.values()))))}
    found = {}
    for row, key in enumerate(zip(*(columns[s] for s in series), strict=True)):
        found.setdefault(tuple(text.strip() for text in key), []).append(row)
    return {key: np.array(rows) for key, rows in found.items()}


def _check_times(times, groups, column):
    notes = []
    for key, rows in groups.items():
        own = times[rows]
        unique, counts = np.unique(own, return_counts=True)
        if len(unique) != len(own):
            raise RecipeError(
                "A time may stand once in each series. Received: "
                f"{column}={unique[counts > 1][0]} {counts.max()} times"
                f"{' in ' + ', '.join(key) if key else ''}. If rows belong to "
                "several series, name the column that tells with series=..."
            )
        if np.any(own[1:] < own[:-1]) and not notes:
            notes.append("Rows were not sorted by time; they are now.")
    return notes


def _check_steps(steps, groups, frequency):
    """Refuses rows of which all but one would be lost."""
    for key, rows in groups.items():
        unique, counts = np.unique(steps[rows], return_counts=True)
        if len(unique) != len(rows):
            twice = frequency.labels(unique[counts > 1])[0]
            raise RecipeError(
                f"A step ({frequency.name}) may have one row in each series. "
                f"Received: {counts.max()} rows in {twice}"
                f"{' of ' + ', '.join(key) if key else ''}. Name another "
                "`frequency`, or sum up the rows of each step."
            )


def _check_leaks(values, known, roles):
    """Refuses a target that comes back as a column that is known ahead."""
    for target, own in values.items():
        for number, name in enumerate(roles.known):
            both = np.isfinite(own) & np.isfinite(known[:, number])
            if both.sum() < 8:
                continue
            pair = own[both], known[both, number]
            if min(map(np.std, pair)) == 0:
                continue
            if abs(np.corrcoef(*pair)[0, 1]) > 1 - 1e-6:
                raise RecipeError(
                    "A known column must not tell the target: it will not be "
                    f"there for the future. Received: known={name!r}, which is "
                    f"{target!r} up to its unit."
                )


def _name(group, target, roles):
    parts = list(group)
    if len(roles.target) > 1 or not parts:
        parts.append(target)
    return "/".join(parts)


def _regular(name, steps, values, known):
    """Puts a series on all steps from its first to its last row."""
    length = int(steps.max() - steps.min()) + 1
    if length > _MAX_STEPS:
        raise RecipeError(
            f"A series may have {_MAX_STEPS} steps. Received: {name!r}, whose "
            f"first and last time are {length} steps apart."
        )
    place = steps - steps.min()
    full = np.full(length, np.nan)
    full[place] = values
    ahead = np.full((length, known.shape[1]), np.nan)
    ahead[place] = known
    observed = np.flatnonzero(np.isfinite(full))
    last = observed[-1] + 1 if len(observed) else 0
    first = observed[0] if len(observed) else 0
    start = int(steps.min()) + int(first)
    return Series(name, start, full[first:last], ahead[first:])


def _check_lengths(made):
    found = {one.name: int(np.isfinite(one.values).sum()) for one in made}
    short = [name for name, observed in found.items() if observed < _LEAST]
    if short:
        more = f", and {len(short) - 1} more such series" if short[1:] else ""
        raise RecipeError(
            f"A series needs {_LEAST} observed values: leave shorter ones out. "
            f"Received: {short[0]!r} with "
            f"{found[short[0]] or 'none: all are missing'}{more}."
        )


def _check_known(one, frequency):
    gaps = np.isnan(one.known[: len(one.values)]).any(axis=1)
    if gaps.any():
        raise RecipeError(
            "Known columns must have a value at every step of a series, also "
            f"at those without a row. Received: {one.name!r} with "
            f"{int(gaps.sum())} steps without, the first of them "
            f"{frequency.labels([one.start + np.argmax(gaps)])[0]}."
        )


def _with_calendar(one, frequency):
    # Two years ahead are enough for every horizon that is forecast.
    total = len(one.values) + 2 * max(366, frequency.horizon)
    added = calendar_columns(frequency, one.start + np.arange(total))
    if not one.known.shape[1]:
        return dataclasses.replace(one, known=added)
    both = [one.known, added[: len(one.known)]]
    return dataclasses.replace(one, known=np.concatenate(both, axis=1))


def _usual_seasons(frequency, series):
    """Returns the usual seasons that the longest series shows twice or more."""
    longest = max(len(one.values) for one in series)
    return [one for one in frequency.seasons if longest >= 2 * one]
