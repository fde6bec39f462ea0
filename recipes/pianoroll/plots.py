"""Pictures of piano rolls."""

import math

import numpy as np

from recipes.pianoroll.rolls import LOWEST_NOTE, NUM_NOTES
from recipes.pictures import GIVEN, MADE, TEXT, picture, tidy

_GRID_COLOUR = "#cfd5dc"
_BLACK_KEY_COLOUR = "#f3f5f8"
_BLACK_KEYS = (1, 3, 6, 8, 10)


def plot_rolls(path, rolls, prefix_length=None, titles=None, columns=2):
    """Draws piano rolls in a grid, the given prefix apart from what follows.

    Args:
        path: Path of the PNG file, which appears whole or not at all.
        rolls: List of arrays `(steps, 88)` of zeros and ones (above one half
            counts as one).
        prefix_length: int, or a list of one per roll. The steps that were
            given; they and what follows differ in colour, and a line parts
            them. Default: `None`, nothing was given.
        titles: List of str, one per roll. Default: `None`.
        columns: int. Rolls side by side. Default: 2.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no rolls, one is not `(steps, 88)`, or there are
            not as many titles or prefixes as rolls.
    """
    rolls = [np.asarray(roll) > 0.5 for roll in rolls]
    prefixes = _one_each("prefix_length", prefix_length or 0, rolls)
    titles = _one_each("titles", titles or "", rolls)
    if any(prefix < 0 for prefix in prefixes):
        raise ValueError(
            "`prefix_length` must not be negative. "
            f"Received: prefix_length={prefix_length}."
        )
    _check(rolls)
    columns = min(columns, len(rolls))
    num_rows = math.ceil(len(rolls) / columns)
    size = (5.4 * columns + 0.5, 2.8 * num_rows + 0.9)
    low, high = _note_range(rolls)
    with picture(path, *size, dpi=130) as figure:
        grid = figure.subplots(
            num_rows, columns, sharex=True, sharey=True, squeeze=False
        ).ravel()
        for axes, roll, prefix, title in zip(
            grid, rolls, prefixes, titles, strict=False
        ):
            _draw(axes, roll, prefix, title)
            axes.set_ylim(low - 0.5, high + 0.5)
            axes.set_xlim(0, max(map(len, rolls)))
        for axes in grid[len(rolls) :]:
            axes.remove()
        figure.supxlabel("step", fontsize=10, color=TEXT)
        if any(prefixes):
            _add_legend(figure)


def _draw(axes, roll, prefix, title):
    for note in range(LOWEST_NOTE, LOWEST_NOTE + NUM_NOTES):
        if note % 12 in _BLACK_KEYS:
            axes.axhspan(
                note - 0.5, note + 0.5, color=_BLACK_KEY_COLOUR, zorder=0
            )
    octaves = [note for note in range(24, 109, 12)]
    axes.set_yticks(octaves, [f"C{note // 12 - 1}" for note in octaves])
    axes.grid(axis="y", color=_GRID_COLOUR, linewidth=1, zorder=0.5)
    for start, end, colour in (
        (0, prefix, GIVEN),
        (prefix, len(roll), MADE),
    ):
        for column in np.flatnonzero(roll[start:end].any(axis=0)):
            spans = _spans(roll[start:end, column], start)
            axes.broken_barh(
                spans,
                (column + LOWEST_NOTE - 0.45, 0.9),
                facecolor=colour,
                edgecolor="white",
                linewidth=0.4,
                zorder=2,
            )
    if 0 < prefix < len(roll):
        axes.axvline(prefix, color="#222222", linewidth=1.2, zorder=3)
    axes.set_title(title, fontsize=10, loc="left")
    tidy(axes)


def _spans(sounding, offset):
    """Returns the held notes of one key, as `(start, length)`."""
    change = np.diff(np.concatenate([[0], sounding.astype(int), [0]]))
    starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return [
        (int(start) + offset, int(end - start))
        for start, end in zip(starts, ends, strict=True)
    ]


def _note_range(rolls):
    """Returns a little more than what sounds anywhere, an octave at least."""
    sounding = np.flatnonzero(np.any([roll.any(0) for roll in rolls], axis=0))
    if len(sounding) == 0:
        return 48, 72
    low, high = sounding[[0, -1]] + LOWEST_NOTE + (-2, 2)
    return min(low, high - 12), high


def _add_legend(figure):
    from matplotlib.patches import Patch

    figure.legend(
        handles=[
            Patch(color=GIVEN, label="given prefix"),
            Patch(color=MADE, label="sampled continuation"),
        ],
        loc="outside upper right",
        ncols=2,
        frameon=False,
        fontsize=9,
    )


def _one_each(name, values, rolls):
    if isinstance(values, (int, np.integer, str)):
        return [values] * len(rolls)
    if len(values) != len(rolls):
        raise ValueError(
            f"`{name}` must have one entry per roll, {len(rolls)}. "
            f"Received: {name} with {len(values)}."
        )
    return list(values)


def _check(rolls):
    if not rolls:
        raise ValueError("There must be at least one roll. Received: rolls=[].")
    for index, roll in enumerate(rolls):
        if roll.ndim != 2 or roll.shape[1] != NUM_NOTES or len(roll) == 0:
            raise ValueError(
                f"A piano roll must have the shape (steps, {NUM_NOTES}) and "
                "at least one step. "
                f"Received: roll {index} with shape={roll.shape}."
            )
