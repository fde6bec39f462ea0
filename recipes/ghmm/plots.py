"""Pictures of the gap between bounds and the exact log evidence."""

import contextlib

from recipes.pictures import TEXT, picture, tidy

_GRID = "#dfe3e8"


@contextlib.contextmanager
def panels(path, size, rows=1, columns=1, dpi=100, **options):
    """Opens a figure of light axes; see `recipes.pictures.picture`.

    Args:
        path: Path of the file.
        size: Width and height, in inches.
        rows: int. Rows of axes. Default: 1.
        columns: int. Columns of axes. Default: 1.
        dpi: int. Dots per inch. Default: 100.
        **options: Of `matplotlib.figure.Figure.subplots`.

    Yields:
        The figure and a NumPy array of its axes `(rows, columns)`.
    """
    # Of few colours: a third of the size.
    with picture(path, *size, dpi=dpi, colours=96) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        for each in axes.ravel():
            each.grid(color=_GRID, linewidth=0.7)
            each.set_axisbelow(True)
            tidy(each)
        yield figure, axes


def plot_training(path, rows):
    """Draws the validation bound and the exact log evidence of a training.

    Args:
        path: Path of the PNG file.
        rows: The lines of the log, dicts with `updates`,
            `val_bound_per_step`, `exact_per_step` and `gap_per_step`.
    """
    updates = [row["updates"] for row in rows]
    with panels(path, (9.0, 3.6), columns=2) as (_, axes):
        levels, gaps = axes[0]
        levels.plot(
            updates,
            [row["exact_per_step"] for row in rows],
            color="#222222",
            label="exact log evidence",
        )
        levels.plot(
            updates,
            [row["val_bound_per_step"] for row in rows],
            color="#3b82c4",
            marker=".",
            label="validation bound",
        )
        levels.legend(frameon=False, fontsize=8, loc="lower right")
        levels.set_ylabel("nats per step", fontsize=9, color=TEXT)
        found = [row["gap_per_step"] for row in rows]
        gaps.plot(updates, found, color="#d9572b", marker=".")
        if 0 < 10 * min(found) < max(found):
            gaps.set_yscale("log")
        gaps.set_ylabel("exact - bound, nats per step", fontsize=9, color=TEXT)
        for each in (levels, gaps):
            each.set_xlabel("updates", fontsize=9, color=TEXT)
