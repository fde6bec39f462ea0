"""Pictures of the gap between bounds and the exact log evidence."""

import contextlib
import importlib.util

import numpy as np

from recipes.ghmm.config import PROPOSALS
from recipes.storage import atomic_path

# By what a proposal sees: nothing, x_t, or x_t:T; learned ones are dashed.
STYLES = {
    "transition": ("#777777", "o", "-"),
    "linear_filtering": ("#7fb8e6", "s", "--"),
    "filtering": ("#3b82c4", "^", "--"),
    "exact_filtering": ("#123f73", "D", "-"),
    "linear_smoothing": ("#f2a65a", "s", "--"),
    "smoothing": ("#d9572b", "^", "--"),
    "exact_smoothing": ("#8c1c13", "D", "-"),
}
LABELS = {
    "transition": "transition",
    "linear_filtering": "linear filtering, learned",
    "filtering": "amortised filtering, learned",
    "exact_filtering": "exact filtering",
    "linear_smoothing": "linear smoothing, learned",
    "smoothing": "amortised smoothing, learned",
    "exact_smoothing": "exact smoothing",
}
_TITLES = {
    "elbo": "ELBO: means of one-particle bounds",
    "iwae": "IWAE: never resamples",
    "fivo": "FIVO: resamples at half the ESS",
}
_TEXT = "#444444"
_GRID = "#dfe3e8"


def has_matplotlib():
    """Whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


@contextlib.contextmanager
def picture(path, size, rows=1, columns=1, dpi=100, **options):
    """A figure that becomes a PNG file, whole or not at all.

    Args:
        path: Path of the file.
        size: Width and height, in inches.
        rows: int. Rows of axes. Default: 1.
        columns: int. Columns of axes. Default: 1.
        dpi: int. Default: 100.
        **options: Of `matplotlib.figure.Figure.subplots`.

    Yields:
        The figure and a NumPy array of its axes `(rows, columns)`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Pictures of chains need the package matplotlib. "
            'Run `pip install "keras_fivo[plots]"`.'
        ) from error
    # A figure of its own, without pyplot, touches no global state.
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for each in axes.ravel():
        each.grid(color=_GRID, linewidth=0.7)
        each.set_axisbelow(True)
        each.tick_params(labelsize=8, length=0, labelcolor=_TEXT)
        for side in each.spines.values():
            side.set_color("#c5cad1")
    yield figure, axes
    figure.set_dpi(dpi)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # Of few colours: a third of the size.
    pixels = pixels.quantize(96, dither=Image.Dither.NONE)
    with atomic_path(path) as partial:
        pixels.save(partial, format="png", optimize=True)


def plot_training(path, rows):
    """Draws the validation bound and the exact log evidence of a training.

    Args:
        path: Path of the PNG file.
        rows: The lines of the log, dicts with `updates`,
            `val_bound_per_step`, `exact_per_step` and `gap_per_step`.
    """
    updates = [row["updates"] for row in rows]
    with picture(path, (9.0, 3.6), columns=2) as (_, axes):
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
        levels.set_ylabel("nats per step", fontsize=9, color=_TEXT)
        found = [row["gap_per_step"] for row in rows]
        gaps.plot(updates, found, color="#d9572b", marker=".")
        if 0 < 10 * min(found) < max(found):
            gaps.set_yscale("log")
        gaps.set_ylabel("exact - bound, nats per step", fontsize=9, color=_TEXT)
        for each in (levels, gaps):
            each.set_xlabel("updates", fontsize=9, color=_TEXT)


def plot_gaps(path, gaps):
    """Draws gaps against the number of particles, a panel for each bound.

    Args:
        path: Path of the PNG file.
        gaps: List of `recipes.experiments.gap_measurement.Gap`.
    """
    bounds = list(dict.fromkeys(gap.bound for gap in gaps))
    size = (3.6 * len(bounds) + 1.0, 4.8)
    with picture(path, size, columns=len(bounds), dpi=90, sharey=True) as (
        figure,
        axes,
    ):
        for each, bound in zip(axes[0], bounds, strict=True):
            for proposal in PROPOSALS:
                _draw_gaps(
                    each,
                    [
                        gap
                        for gap in gaps
                        if (gap.bound, gap.proposal) == (bound, proposal)
                    ],
                    proposal,
                )
            each.set_xscale("log", base=2)
            # Linear below, so that 0 is there.
            each.set_yscale("symlog", linthresh=1e-3)
            each.set_title(_TITLES[bound], fontsize=10, loc="left")
            ticks = sorted({gap.num_particles for gap in gaps})[::2]
            each.set_xticks(ticks, [str(tick) for tick in ticks])
            each.minorticks_off()
            each.set_xlabel("particles", fontsize=9, color=_TEXT)
        lowest = min(gap.mean for gap in gaps)
        axes[0, 0].set_ylim(min(-4e-4, 1.5 * lowest), None)
        axes[0, 0].set_ylabel(
            "exact log evidence - mean bound,\nnats per sequence",
            fontsize=9,
            color=_TEXT,
        )
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=9,
        )


def _draw_gaps(axes, gaps, proposal):
    if not gaps:
        return
    colour, marker, line = STYLES[proposal]
    axes.errorbar(
        [gap.num_particles for gap in gaps],
        [gap.mean for gap in gaps],
        yerr=[gap.error for gap in gaps],
        color=colour,
        marker=marker,
        markersize=4,
        linestyle=line,
        linewidth=1.3,
        elinewidth=0.8,
        label=LABELS[proposal],
    )
