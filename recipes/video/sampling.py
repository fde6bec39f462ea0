"""Continuations of videos, as arrays, strips of frames and an animation."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from recipes.data.prefixes import choose_sequences, continue_sequences
from recipes.errors import told_to_the_user
from recipes.packages import require
from recipes.storage import atomic_path

_GAP, _PAPER = 2, 255  # pixels between frames, and their level
_GIVEN, _MADE = 110, 190  # levels of the bars above frames
_BAR = 3  # pixels


def sample(trained: Any, settings: Any) -> list[pathlib.Path]:
    """Continues beginnings of sequences; returns the files that it wrote.

    Args:
        trained: `recipes.training.trained.Trained`.
        settings: `recipes.video.config.SampleSettings`.
    """
    with told_to_the_user():
        require("`sample`", "plots", "PIL")
    folder = pathlib.Path(settings.output or trained.folder / "samples")
    sequences, _ = choose_sequences(
        trained.sequences.split(settings.split), settings
    )
    prefixes, samples = continue_sequences(trained.model, sequences, settings)
    rows = rows_of(sequences, prefixes, samples, settings)
    names = ("samples.npz", "frames.png", "frames.gif")
    paths = [folder / name for name in names]
    with told_to_the_user():
        with atomic_path(paths[0]) as partial:
            np.savez_compressed(partial, prefixes=prefixes, samples=samples)
        write_strips(paths[1], rows, prefixes.shape[1], settings.magnify)
        write_animation(paths[2], rows, prefixes.shape[1], settings)
    return paths


def rows_of(
    sequences: Sequence[np.ndarray],
    prefixes: np.ndarray,
    samples: np.ndarray,
    settings: Any,
) -> list[list[np.ndarray]]:
    """Returns what there was of each sequence, and then each continuation.

    Args:
        sequences: Whole sequences `(frames, height, width, channels)`.
        prefixes: `(sequences, steps, height, width, channels)`.
        samples: `(sequences, samples, frames, height, width, channels)`.
        settings: `recipes.video.config.SampleSettings`.

    Returns:
        For each sequence a list of clips, the recorded one first.
    """
    num_frames = prefixes.shape[1] + settings.sample_length
    rows = []
    for whole, prefix, made in zip(sequences, prefixes, samples, strict=True):
        recorded = [np.asarray(whole)[:num_frames]] if len(prefix) else []
        continued = [np.concatenate([prefix, one]) for one in made]
        rows.append(recorded + continued)
    return rows


def write_strips(
    path: pathlib.Path,
    rows: list[list[np.ndarray]],
    num_given: int,
    magnify: int,
) -> None:
    """Writes a PNG of clips, a strip for each, frames from left to right.

    Args:
        path: Path of the file.
        rows: As from `rows_of`.
        num_given: Number of frames that the model was given.
        magnify: Pixels of the picture for one of a frame.
    """
    strips = []
    for clips in rows:
        columns = [
            _column(clips, t, num_given, magnify)
            for t in range(max(map(len, clips)))
        ]
        strips.append(np.concatenate(columns, 1))
        strips.append(np.full_like(strips[-1][:_BAR], _PAPER))
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(
            strip,
            ((0, 0), (0, width - strip.shape[1]), (0, 0)),
            constant_values=_PAPER,
        )
        for strip in strips
    ]
    with atomic_path(path) as partial:
        _image(np.concatenate(padded[:-1])).save(
            partial, format="png", optimize=True
        )


def write_animation(
    path: pathlib.Path,
    rows: list[list[np.ndarray]],
    num_given: int,
    settings: Any,
) -> None:
    """Writes a GIF of clips: sequences side by side, continuations below.

    Args:
        path: Path of the file.
        rows: As from `rows_of`.
        num_given: Number of frames that the model was given.
        settings: Their `frames_per_second` and `magnify`.
    """
    images = []
    for t in range(max(len(clip) for clips in rows for clip in clips)):
        columns = [
            _column(clips, t, num_given, settings.magnify) for clips in rows
        ]
        images.append(_image(np.concatenate(columns, 1)))
    with atomic_path(path) as partial:
        images[0].save(
            partial,
            format="gif",
            save_all=True,
            append_images=images[1:],
            duration=1000 / settings.frames_per_second,
            loop=0,
        )


def _column(
    clips: list[np.ndarray], t: int, num_given: int, magnify: int
) -> np.ndarray:
    """Lays frame t of clips below each other, uint8, each below a bar.

    The bar is darker where the frame was given, or recorded: the first clip is
    what was, unless nothing was given. A frame is blank where its clip has
    ended.
    """
    tiles = []
    for number, clip in enumerate(clips):
        frame = np.full(clip.shape[1:], _PAPER, "uint8")
        if t < len(clip):
            frame = np.rint(255 * np.clip(clip[t], 0, 1)).astype("uint8")
        frame = frame.repeat(magnify, 0).repeat(magnify, 1)
        gaps = ((_BAR + _GAP, _GAP), (_GAP, _GAP), (0, 0))
        tile = np.pad(frame, gaps, constant_values=_PAPER)
        recorded = number == 0 and num_given > 0
        made = t >= num_given and not recorded
        tile[:_BAR, _GAP:-_GAP] = _MADE if made else _GIVEN
        tiles.append(tile)
    return np.concatenate(tiles)


def _image(pixels: np.ndarray) -> Any:
    """Returns an image of Pillow: grey of one channel, colours of three."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
