"""Forecasts as a table of quantiles, and as a picture of each series."""

import csv
import re

import numpy as np

from recipes.pictures import GIVEN, MADE, TEXT, picture, tidy
from recipes.storage import atomic_path
from recipes.table.forecasting import quantiles

_SHOWN = 5  # horizons of the past that a picture shows
_BANDS = ((0.025, 0.975, 0.15), (0.1, 0.9, 0.25), (0.25, 0.75, 0.4))


def write_quantiles(path, panel, values, levels):
    """Writes a row for each series and step; returns the path.

    Args:
        path: Path of the CSV file.
        panel: `Panel`.
        values: For each series `(NUM_VALUES, horizon)`.
        levels: Levels of the quantiles.
    """
    levels = sorted(levels)
    with (
        atomic_path(path) as partial,
        open(partial, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        head = ["series", "time", "mean", *(f"q{level:g}" for level in levels)]
        writer.writerow(head)
        for one, own in zip(panel.series, values, strict=True):
            end = one.start + len(one.values)
            labels = panel.frequency.labels(end + np.arange(own.shape[1]))
            rows = np.stack([own.mean(axis=0), *quantiles(own, levels)], axis=1)
            for label, row in zip(labels, rows, strict=True):
                writer.writerow([one.name, label, *(f"{x:.7g}" for x in row)])
    return path


def draw(folder, panel, values, largest):
    """Draws the end of each series and its forecast; returns the paths.

    Args:
        folder: Path of the folder.
        panel: `Panel`.
        values: For each series `(NUM_VALUES, horizon)`.
        largest: Largest number of pictures.
    """
    written = []
    for number, (one, own) in enumerate(
        zip(panel.series[:largest], values, strict=False)
    ):
        name = re.sub(r"[^\w.-]+", "-", one.name)[:60].strip("-.")
        path = folder / f"{number:03d}-{name or 'series'}.png"
        with picture(path, 7, 2.8) as figure:
            _draw_one(figure, panel, one, own)
        written.append(path)
    return written


def _draw_one(figure, panel, one, values):
    horizon, length = values.shape[1], len(one.values)
    shown = min(length, max(_SHOWN * horizon, 3 * panel.season))
    past = np.arange(length - shown, length)
    ahead = np.arange(length, length + horizon)
    axes = figure.subplots()
    axes.plot(past, one.values[past], color=GIVEN, linewidth=1.1)
    for low, high, alpha in _BANDS:
        axes.fill_between(
            ahead,
            *quantiles(values, [low, high]),
            color=MADE,
            alpha=alpha,
            linewidth=0,
        )
    axes.plot(ahead, quantiles(values, [0.5])[0], color=MADE, linewidth=1.3)
    axes.axvline(length - 0.5, color=TEXT, linewidth=0.6, linestyle=":")
    ticks = np.linspace(past[0], ahead[-1], 6).astype(int)
    axes.set_xticks(ticks, panel.frequency.labels(one.start + ticks))
    axes.set_title(
        f"{one.name}: median, and intervals of 50, 80 and 95%",
        fontsize=9,
        color=TEXT,
        loc="left",
    )
    axes.margins(x=0.01)
    tidy(axes)
