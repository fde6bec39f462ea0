"""Pictures and animations of stick figures."""

import dataclasses

import numpy as np

from recipes.pose.skeleton import BONES, LEFT, NUM_FEATURES, RIGHT, to_joints
from recipes.storage import atomic_path

_GIVEN = "#47597a"
_RECORDED = "#8a9099"
_SAMPLED = "#d9572b"
_PLACES = 16  # figures of a strip
_ROOM = 0.75  # least width of what a figure has, by its height


@dataclasses.dataclass(frozen=True)
class Strip:
    """A sequence to draw.

    Args:
        steps: Array `(steps, 64)`.
        prefix_length: int. Steps that were given to the model.
        title: str.
        recorded: bool. Whether what follows the prefix is data, and not a
            sample. Default: `False`.
    """

    steps: np.ndarray
    prefix_length: int
    title: str
    recorded: bool = False

    def __post_init__(self):
        shape = np.shape(self.steps)
        if len(shape) != 2 or shape[1] != NUM_FEATURES or shape[0] == 0:
            raise ValueError(
                f"Figures must have the shape (steps, {NUM_FEATURES}) and at "
                f"least one step. Received: steps with shape={shape}."
            )

    def colour(self, step):
        """The colour of a step."""
        if step < self.prefix_length:
            return _GIVEN
        return _RECORDED if self.recorded else _SAMPLED


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
    longest = max((len(strip.steps) for strip in strips), default=0)
    times = np.unique(np.linspace(0, longest - 1, _PLACES).astype(int))
    figure, canvas = _figure(12.0, 1.2 * len(strips) + 0.7, strips)
    grid = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axes, strip in zip(grid, strips, strict=True):
        joints = to_joints(strip.steps)
        joints = joints - np.array([1, 0]) * joints[:, :1]
        low, high = _range(joints[..., 1])
        width = _ROOM * (high - low)
        for place, time in enumerate(times):
            if time < len(joints):
                shift = np.array([place * width, 0])
                _draw(axes, joints[time] + shift, strip.colour(time))
        axes.set_xticks(width * np.arange(len(times)), times)
        axes.set_xlim(-width, len(times) * width)
        axes.set_aspect("equal")
        _frame(axes, strip.title, (low, high), y_down)
        given = np.searchsorted(times, strip.prefix_length) - 0.5
        if 0 < strip.prefix_length < len(joints):
            axes.axvline(given * width, color="#222222", linewidth=1)
    figure.supxlabel("step", fontsize=9, color="#444444")
    _add_legend(figure, strips)
    with atomic_path(path) as partial, open(partial, "wb") as file:
        canvas.print_figure(file, format="png", dpi=100)


def write_animation(path, columns, frames_per_second, y_down=False):
    """Writes an animated GIF of sequences, side by side.

    Args:
        path: Path of the GIF file, which appears whole or not at all.
        columns: List of lists of `Strip`: one above the other in a column,
            where all see the same place.
        frames_per_second: float.
        y_down: bool. Whether y grows downward. Default: `False`.

    Raises:
        ImportError: matplotlib or Pillow is not installed.
        ValueError: There are no strips.
    """
    strips = [strip for column in columns for strip in column]
    rows = max(map(len, columns), default=0)
    views = [_view(column) for column in columns]
    shapes = [np.ptp(x) / np.ptp(y) for x, y in views]
    figure, canvas = _figure(1.7 * sum(shapes) + 0.3, 2.0 * rows, strips)
    grid = figure.subplots(
        rows, len(columns), squeeze=False, width_ratios=shapes
    )
    players = [
        _Player(grid[row, number], strip, views[number], y_down)
        for number, column in enumerate(columns)
        for row, strip in enumerate(column)
    ]
    _add_legend(figure, strips)
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
        _frame(axes, strip.title, view[1], y_down)

    def show(self, time):
        """Draws one step; a sequence that has ended is gone."""
        if self.shown is not None:
            self.shown.remove()
            self.shown = None
        if time < len(self.joints):
            colour = self.strip.colour(time)
            self.shown = _draw(self.axes, self.joints[time], colour)


def _view(column):
    """The ranges of x and y that strips need, not too narrow."""
    joints = np.concatenate([to_joints(strip.steps) for strip in column])
    x, y = _range(joints[..., 0]), _range(joints[..., 1])
    lacking = max(0.0, _ROOM * np.ptp(y) - np.ptp(x)) / 2
    return (x[0] - lacking, x[1] + lacking), y


def _image(canvas):
    """What the canvas shows, in the few colours that are drawn."""
    from PIL import Image

    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        [
            round(255 * part)
            for colour in (_GIVEN, _RECORDED, _SAMPLED, "#000000")
            for share in np.linspace(0, 1, 32)
            for part in _mix(colour, share)
        ]
    )
    return pixels.quantize(palette=palette, dither=Image.Dither.NONE)


def _draw(axes, joints, colour):
    """Draws the bones of one figure, what is on its left lighter."""
    from matplotlib.collections import LineCollection

    shares = dict.fromkeys(LEFT, 0.5) | dict.fromkeys(RIGHT, 1.0)
    bones = sorted(BONES, key=lambda bone: shares.get(bone[1], 0.8))
    lines = LineCollection(
        [joints[list(bone)] for bone in bones],
        colors=[_mix(colour, shares.get(end, 0.8)) for _, end in bones],
        linewidths=1.6,
        capstyle="round",
    )
    return axes.add_collection(lines, autolim=False)


def _mix(colour, share):
    """So much of a colour, the rest white, as parts from 0 to 1."""
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return tuple(1 - share * (1 - part / 255) for part in parts)


def _figure(width, height, strips):
    if not strips:
        raise ValueError("There must be figures to draw. Received: none.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Pictures of figures need the package matplotlib. "
            'Run `pip install "keras_fivo[plots]"`.'
        ) from error
    # A figure of its own, without pyplot, touches no global state.
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _range(values):
    """Where the values are, without the wildest, and a margin."""
    low, high = np.nanpercentile(values, [0.2, 99.8])
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _frame(axes, title, limits, y_down):
    axes.set_ylim(*(limits[::-1] if y_down else limits))
    axes.set_yticks([])
    axes.set_title(title, fontsize=9, loc="left", pad=3)
    axes.tick_params(labelsize=8, length=0, labelcolor="#444444")
    for side in axes.spines.values():
        side.set_color("#d5d9de")


def _add_legend(figure, strips):
    from matplotlib.lines import Line2D

    entries = [
        (_GIVEN, "given prefix", any(s.prefix_length for s in strips)),
        (_RECORDED, "what followed", any(s.recorded for s in strips)),
        (_SAMPLED, "sampled", not all(s.recorded for s in strips)),
    ]
    figure.legend(
        handles=[
            Line2D([], [], color=colour, linewidth=2.5, label=label)
            for colour, label, there in entries
            if there
        ],
        loc="outside upper right",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
