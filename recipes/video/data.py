"""Data sets of video by name."""

import pathlib
from typing import Any

from recipes.errors import FileError
from recipes.video.clips import SPLITS, VideoData, fingerprint, stored
from recipes.video.config import prepared_path
from recipes.video.moving_digits import NAME, load_moving_digits


def load(settings: Any) -> VideoData:
    """Loads a data set: digits are made, what else is read from a file.

    Args:
        settings: `recipes.video.config.FitSettings`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or not what `prepare video` writes.
    """
    if settings.data == NAME:
        return load_moving_digits(settings)
    path = pathlib.Path(settings.data_path or prepared_path()).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            "KTH Actions are not distributed: get the AVI files, and run "
            "`python -m recipes prepare video source=FOLDER`. "
            f"Received: data_path={str(path)!r}, where there is no file."
        )
    return VideoData(settings.data, *read_prepared(path))


def read_prepared(path: pathlib.Path) -> tuple[dict, str]:
    """Reads what `prepare video` wrote.

    Args:
        path: Path of an `.npz` of uint8 `train` `(frames, height, width)`,
            sequence after sequence, `train_lengths`, and the same of `valid`
            and `test`.

    Returns:
        `Clips` by split, and a checksum.
    """
    from keras_fivo import load_arrays

    names = [*SPLITS, *(f"{split}_lengths" for split in SPLITS)]
    found = load_arrays(path, names, max_bytes=2**32)
    for split in SPLITS:
        frames, lengths = found[split], found[f"{split}_lengths"]
        fits = frames.dtype == "uint8" and frames.ndim == 3
        fits = fits and lengths.dtype.kind in "iu" and lengths.ndim == 1
        if not fits or not len(lengths) or lengths.sum() != len(frames):
            raise FileError(
                "A file of video has uint8 (frames, height, width) by split, "
                "and the lengths of its sequences. Received: "
                f"path={str(path)!r} with {split} of shape {frames.shape}."
            )
    splits = {
        split: stored(found[split], found[f"{split}_lengths"])
        for split in SPLITS
    }
    return splits, fingerprint(*(found[name] for name in names))
