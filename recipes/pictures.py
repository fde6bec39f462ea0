"""Pictures: figures of matplotlib that become files, whole or not at all."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from recipes.packages import require
from recipes.storage import atomic_path

GIVEN = "#47597a"
MADE = "#d9572b"
TEXT = "#444444"
_FRAME = "#c5cad1"


def has_matplotlib() -> bool:
    """Returns whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> Any:
    """Returns a figure of matplotlib and its canvas.

    Args:
        width: Width in inches.
        height: Height in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    require("A picture", "plots", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, without pyplot, touches no global state.
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, FigureCanvasAgg(figure)


@contextlib.contextmanager
def picture(
    path: str | pathlib.Path,
    width: float,
    height: float,
    dpi: int = 100,
    colours: int | None = None,
) -> Iterator[Any]:
    """Opens a figure that becomes a PNG file when the block ends.

    Args:
        path: Path of the file.
        width: Width in inches.
        height: Height in inches.
        dpi: Dots per inch. Default: 100.
        colours: Largest number of colours, so that the file is small.
            Default: `None`, any.

    Yields:
        The figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, canvas = new_figure(width, height)
    yield figure
    figure.set_dpi(dpi)
    canvas.draw()
    pixels = image_of(canvas)
    if colours is not None:
        pixels = pixels.quantize(colours, dither=0)
    with atomic_path(path) as partial:
        pixels.save(partial, format="png", optimize=True)


def image_of(canvas: Any) -> Any:
    """Returns what a canvas shows, an image of Pillow."""
    from PIL import Image

    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def tidy(axes: Any) -> None:
    """Makes ticks and frame of axes light."""
    axes.tick_params(labelsize=8, length=0, labelcolor=TEXT)
    for side in axes.spines.values():
        side.set_color(_FRAME)
