"""Animations of sequences of poses."""

import numpy as np

from recipes.pictures import GIVEN, MADE, image_of, new_figure
from recipes.pose.drawing import (
    RECORDED,
    ROOM,
    add_legend,
    check_strips,
    draw_figure,
    frame_axes,
    mix,
    wide_range,
)
from recipes.pose.skeleton import to_joints
from recipes.storage import atomic_path


def write_animation(path, columns, frames_per_second, y_down=False):
    """Writes an animated GIF of sequences, side by side.

    Args:
        path: Path of the GIF file, which appears whole or not at all.
        columns: List of lists of `Strip`: one above the other in a column,
            where all see the same place.
        frames_per_second: Number of frames per second.
        y_down: bool. Whether y grows downward. Default: `False`.

    Raises:
        ImportError: matplotlib or Pillow is not installed.
        ValueError: There are no strips.
    """
    strips = [strip for column in columns for strip in column]
    check_strips(strips)
    rows = max(map(len, columns))
    views = [_view(column) for column in columns]
    shapes = [np.ptp(x) / np.ptp(y) for x, y in views]
    figure, canvas = new_figure(1.7 * sum(shapes) + 0.3, 2.0 * rows)
    grid = figure.subplots(
        rows, len(columns), squeeze=False, width_ratios=shapes
    )
    players = [
        _Player(grid[row, number], strip, views[number], y_down)
        for number, column in enumerate(columns)
        for row, strip in enumerate(column)
    ]
    add_legend(figure, strips)
    images = []
    for time in range(max(len(strip.steps) for strip in strips)):
        for player in players:
            player.show(time)
        images.append(_image(canvas))
    with atomic_path(path) as partial:
        images[0].save(
            partial,
            save_all=True,
            append_images=images[1:],
            duration=1000 / frames_per_second,
            loop=0,
        )


class _Player:
    """One strip of an animation."""

    def __init__(self, axes, strip, view, y_down):
        self.axes, self.strip = axes, strip
        self.joints = to_joints(strip.steps)
        self.shown = None
        axes.set_xlim(*view[0])
        axes.set_aspect("equal")
        axes.set_xticks([])
        frame_axes(axes, strip.title, view[1], y_down)

    def show(self, time):
        """Draws one step; a sequence that has ended is gone."""
        if self.shown is not None:
            self.shown.remove()
            self.shown = None
        if time < len(self.joints):
            colour = self.strip.colour(time)
            self.shown = draw_figure(self.axes, self.joints[time], colour)


def _view(column):
    """Returns the ranges of x and y that strips need, not too narrow."""
    joints = np.concatenate([to_joints(strip.steps) for strip in column])
    x, y = wide_range(joints[..., 0]), wide_range(joints[..., 1])
    lacking = max(0.0, ROOM * np.ptp(y) - np.ptp(x)) / 2
    return (x[0] - lacking, x[1] + lacking), y


def _image(canvas):
    """Returns what the canvas shows, in the few colours that are drawn."""
    from PIL import Image

    canvas.draw()
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        [
            round(255 * part)
            for colour in (GIVEN, RECORDED, MADE, "#000000")
            for share in np.linspace(0, 1, 12)
            for part in mix(colour, share)
        ]
    )
    return image_of(canvas).quantize(palette=palette, dither=Image.Dither.NONE)
