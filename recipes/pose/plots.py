"""Pictures of sequences of poses."""

import numpy as np

from recipes.pictures import TEXT, picture
from recipes.pose.drawing import (
    ROOM,
    add_legend,
    check_strips,
    draw_figure,
    frame_axes,
    wide_range,
)
from recipes.pose.skeleton import to_joints

_PLACES = 16  # figures of a strip


def plot_strips(path, columns, y_down=False):
    """Draws sequences as strips of figures, time going right.

    Each figure stands at the place of its time, and not where it was.

    Args:
        path: Path of the PNG file, which appears whole or not at all.
        columns: List of lists of `Strip`; those of one list stand together.
        y_down: bool. Whether y grows downward. Default: `False`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no strips.
    """
    strips = [strip for column in columns for strip in column]
    check_strips(strips)
    longest = max((len(strip.steps) for strip in strips), default=0)
    times = np.unique(np.linspace(0, longest - 1, _PLACES).astype(int))
    with picture(path, 9.5, 0.95 * len(strips) + 0.7) as figure:
        grid = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
        for axes, strip in zip(grid, strips, strict=True):
            joints = to_joints(strip.steps)
            joints = joints - np.array([1, 0]) * joints[:, :1]
            low, high = wide_range(joints[..., 1])
            width = ROOM * (high - low)
            for place, time in enumerate(times):
                if time < len(joints):
                    shift = np.array([place * width, 0])
                    draw_figure(axes, joints[time] + shift, strip.colour(time))
            last = strip is strips[-1]
            axes.set_xticks(
                width * np.arange(len(times)),
                times if last else [""] * len(times),
            )
            axes.set_xlim(-width, len(times) * width)
            axes.set_aspect("equal")
            frame_axes(axes, strip.title, (low, high), y_down)
            given = np.searchsorted(times, strip.prefix_length) - 0.5
            if 0 < strip.prefix_length < len(joints):
                axes.axvline(given * width, color="#222222", linewidth=1)
        figure.supxlabel("step", fontsize=9, color=TEXT)
        add_legend(figure, strips)
