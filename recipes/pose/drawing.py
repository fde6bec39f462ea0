"""Stick figures, as pictures and animations draw them."""

import dataclasses

import numpy as np

from recipes.pictures import GIVEN, MADE, tidy
from recipes.pose.skeleton import BONES, LEFT, NUM_FEATURES, RIGHT

RECORDED = "#8a9099"
ROOM = 0.75  # least width of what a figure has, by its height


@dataclasses.dataclass(frozen=True)
class Strip:
    """A sequence to draw.

    Args:
        steps: Array `(steps, 64)`.
        prefix_length: int. Steps that were given to the model.
        title: Title above the strip.
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
        """Returns the colour of a step."""
        if step < self.prefix_length:
            return GIVEN
        return RECORDED if self.recorded else MADE


def draw_figure(axes, joints, colour):
    """Draws the bones of one figure, what is on its left lighter.

    Args:
        axes: Of matplotlib.
        joints: Array `(32, 2)`.
        colour: str, as `"#rrggbb"`.

    Returns:
        The lines, which can be removed.
    """
    from matplotlib.collections import LineCollection

    shares = dict.fromkeys(LEFT, 0.5) | dict.fromkeys(RIGHT, 1.0)
    bones = sorted(BONES, key=lambda bone: shares.get(bone[1], 0.8))
    lines = LineCollection(
        [joints[list(bone)] for bone in bones],
        colors=[mix(colour, shares.get(end, 0.8)) for _, end in bones],
        linewidths=1.6,
        capstyle="round",
    )
    return axes.add_collection(lines, autolim=False)


def mix(colour, share):
    """Mixes so much of a colour with white, as parts from 0 to 1."""
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return tuple(1 - share * (1 - part / 255) for part in parts)


def check_strips(strips):
    """Refuses to draw nothing."""
    if not strips:
        raise ValueError("There must be figures to draw. Received: none.")


def wide_range(values):
    """Tells where the values are, without the wildest, and a margin."""
    low, high = np.nanpercentile(values, [0.2, 99.8])
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def frame_axes(axes, title, limits, y_down):
    """Sets the title and the limits of y of one strip."""
    axes.set_ylim(*(limits[::-1] if y_down else limits))
    axes.set_yticks([])
    axes.set_title(title, fontsize=9, loc="left", pad=3)
    tidy(axes)


def add_legend(figure, strips):
    """Says what the colours mean that the strips have."""
    from matplotlib.lines import Line2D

    entries = [
        (GIVEN, "given prefix", any(s.prefix_length for s in strips)),
        (RECORDED, "what followed", any(s.recorded for s in strips)),
        (MADE, "sampled", not all(s.recorded for s in strips)),
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
