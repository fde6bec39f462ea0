"""Digits that move across a frame, and bounce off its edges.

As in "Unsupervised Learning of Video Representations using LSTMs" (Srivastava
et al., 2015), with the random bounces of "Stochastic Video Generation with a
Learned Prior" (Denton and Fergus, 2018): off an edge a digit goes on at a new
speed, in a new direction.
"""

import pathlib
from typing import Any

import numpy as np

from recipes.errors import FileError
from recipes.packages import require
from recipes.video.clips import SPLITS, Clips, VideoData, fingerprint

NAME = "moving_digits"
_SHARED = (
    pathlib.Path(__file__).resolve().parents[3] / "shared/data/images/mnist.npz"
)
_SIZE, _SPEED = 28 / 64, 4 / 64  # of a frame, as in the works above
_WHITE = 0.4  # strokes that are shrunk are thinner than a pixel
_HELD_OUT = {"valid": 200, "test": 500}  # sequences


def load_moving_digits(settings: Any) -> VideoData:
    """Makes sequences as the settings say; their digits are in one split each.

    Args:
        settings: `recipes.video.config.FitSettings`.
    """
    digits = _images(settings.data_path)
    size = max(2, round(settings.side * _SIZE))
    digits = {name: _resized(x, size) for name, x in digits.items()}
    counts = {"train": settings.train_sequences, **_HELD_OUT}
    splits = {}
    for number, split in enumerate(SPLITS):

        def read(
            index: int, number: int = number, split: str = split
        ) -> np.ndarray:
            generator = np.random.default_rng([number, index])
            return _sequence(generator, digits[split], settings)

        lengths = [settings.num_frames] * counts[split]
        splits[split] = Clips(lengths, (settings.side, settings.side, 1), read)
    about = [settings.side, settings.num_digits, settings.num_frames]
    about += [settings.train_sequences, settings.grey]
    about += [fingerprint(*digits.values())]
    levels = 256 if settings.grey else 2
    return VideoData(NAME, splits, " ".join(map(str, about)), levels)


def _sequence(
    generator: np.random.Generator, digits: np.ndarray, settings: Any
) -> np.ndarray:
    """Returns frames `(frames, side, side, 1)`, float32 between 0 and 1."""
    side, size = settings.side, digits.shape[-1]
    frames = np.zeros((settings.num_frames, side, side), "float32")
    for image in digits[
        generator.integers(len(digits), size=settings.num_digits)
    ]:
        path = bouncing_path(generator, settings.num_frames, side, size)
        for frame, (top, left) in zip(frames, path, strict=True):
            part = frame[top : top + size, left : left + size]
            np.maximum(part, image, out=part)
    if not settings.grey:
        frames = (frames >= _WHITE).astype("float32")
    return frames[..., None]


def bouncing_path(
    generator: np.random.Generator, num_frames: int, side: int, size: int
) -> np.ndarray:
    """Returns where a digit is, top and left, int `(frames, 2)`.

    Args:
        generator: Random numbers.
        num_frames: Number of frames.
        side: Size of the frame, in pixels.
        size: Size of the digit, in pixels.
    """
    room, fastest = side - size, _SPEED * side
    place = generator.uniform(0, room, 2)
    speed = generator.uniform(-fastest, fastest, 2)
    path = np.empty((num_frames, 2))
    for t in range(num_frames):
        path[t] = place
        place = place + speed
        away = np.where(place < 0, 1, np.where(place > room, -1, 0))
        place = np.clip(place, 0, room)
        if away.any():
            speed = generator.uniform(-fastest, fastest, 2)
            # From the edge that was hit it goes on inwards.
            speed = np.where(away == 0, speed, away * np.abs(speed))
    return np.rint(path).astype(int)


def _images(path: Any) -> dict[str, np.ndarray]:
    """Returns digits by split, float `(images, height, width)` from 0 to 1."""
    if path is None and not _SHARED.is_file():
        require("Moving digits without a file", "video", "sklearn")
        from sklearn.datasets import load_digits

        images = load_digits().images / 16
        return dict(zip(SPLITS, np.split(images, [1297, 1497]), strict=True))
    from keras_fivo import load_arrays

    found = load_arrays(path or _SHARED, ["x_train", "x_test"])
    for name, images in found.items():
        if images.dtype != np.uint8 or images.ndim != 3 or len(images) < 2:
            raise FileError(
                "A file of digits has x_train and x_test, uint8 (images, "
                f"height, width). Received: path={str(path)!r} with {name} of "
                f"shape {images.shape} and {images.dtype}."
            )
    images = found["x_train"]
    train, valid = np.split(images, [len(images) * 5 // 6])
    split = {"train": train, "valid": valid, "test": found["x_test"]}
    return {name: x / 255 for name, x in split.items()}


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """Scales images to `(images, size, size)`, as means over new pixels."""
    rows, columns = (_shares(n, size) for n in images.shape[1:])
    found = np.einsum("ah,nhw,bw->nab", rows, images, columns, optimize=True)
    return found.astype("float32")


def _shares(old: int, new: int) -> np.ndarray:
    """Tells how much of a new pixel each old one covers, `(new, old)`."""
    edges, ends = np.arange(old + 1) / old, np.arange(new + 1) / new
    upper = np.minimum(ends[1:, None], edges[None, 1:])
    lower = np.maximum(ends[:-1, None], edges[None, :-1])
    return np.maximum(upper - lower, 0) * new
