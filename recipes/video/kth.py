"""KTH Actions, from the AVI files of those who have them.

Six actions of 25 people in four places: `personNN_ACTION_dN_uncomp.avi`. The
list that comes with them, `00sequences.txt`, tells in which frames somebody is
to be seen, four times in most files, and who is in which split.
"""

import pathlib
import re
from typing import Any

import numpy as np

from recipes.errors import RecipeError, reading
from recipes.packages import require
from recipes.storage import atomic_path
from recipes.video.clips import SPLITS

PEOPLE = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "valid": (1, 4, 19, 20, 21, 23, 24, 25),
    "test": (2, 3, 5, 6, 7, 8, 9, 10, 22),
}
"""The people of each split, as the authors of the data chose them."""

_NAME = re.compile(r"person(\d\d)_([a-z]+)_d(\d)")
_LIST = "00sequences.txt"
_MAX_LIST_BYTES = 2**20


def prepare(settings: Any) -> pathlib.Path:
    """Writes the frames of all files into one, by split; returns its path.

    Args:
        settings: `recipes.video.config.PrepareVideoSettings`.

    Raises:
        RecipeError: There are no such files, or there is a result already.
        ImportError: PyAV is not installed.
    """
    require("Reading AVI files", "video", "av")
    out = settings.out_path
    if out.exists() and not settings.overwrite:
        raise RecipeError(
            "The prepared file is there already. Pass overwrite=true to "
            f"replace it. Received: out={str(out)!r}."
        )
    files = find_files(settings.source)
    ranges = read_ranges(pathlib.Path(str(settings.source)).expanduser())
    found: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for number, (split, path) in enumerate(files, 1):
        print(f"\r{number} of {len(files)} files", end="", flush=True)
        frames = read_frames(path, settings.side)
        for first, last in ranges.get(_key(path), [(1, len(frames))]):
            part = frames[first - 1 : last : settings.every]
            if len(part) >= settings.least_frames:
                found[split].append(part)
    print()
    _write(out, found, settings)
    return out


def find_files(source: str | None) -> list[tuple[str, pathlib.Path]]:
    """Returns the AVI files below a folder in order, each with its split."""
    if source is None:
        raise RecipeError(
            "Name the folder of the AVI files of KTH Actions with "
            "source=FOLDER. Received: no `source`."
        )
    folder = pathlib.Path(source).expanduser()
    splits = {who: split for split, people in PEOPLE.items() for who in people}
    found = []
    for path in sorted(folder.rglob("*.avi")):
        name = _NAME.match(path.name)
        if name and int(name[1]) in splits:
            found.append((splits[int(name[1])], path))
    missing = [split for split in SPLITS if split not in dict(found)]
    if missing:
        raise RecipeError(
            "A folder of KTH Actions has files personNN_ACTION_dN_uncomp.avi "
            f"of the people of each split; of {', '.join(missing)} there are "
            f"none. Received: source={source!r} with {len(found)} such files."
        )
    return found


def read_ranges(folder: pathlib.Path) -> dict[str, list[tuple[int, int]]]:
    """Reads in which frames of each file somebody is there.

    Args:
        folder: Folder with the list, or without it.

    Returns:
        First and last frames, from 1, by `personNN_ACTION_dN`; empty where
        there is no list.
    """
    path = folder / _LIST
    if not path.is_file():
        return {}
    with reading(path, "the list of KTH Actions"):
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise ValueError(f"more than {_MAX_LIST_BYTES} bytes")
        found = {}
        for line in path.read_text("latin-1").splitlines():
            name = _NAME.match(line)
            if name:
                pairs = re.findall(r"(\d+)\s*-\s*(\d+)", line[name.end() :])
                if pairs:
                    found[name[0]] = [(int(a), int(b)) for a, b in pairs]
        return found


def read_frames(path: pathlib.Path, side: int) -> np.ndarray:
    """Reads the frames of a video, grey, uint8 `(frames, side, side)`."""
    import av

    with reading(path, "a video"), av.open(str(path)) as container:
        frames = [
            frame.reformat(side, side, "gray").to_ndarray()
            for frame in container.decode(video=0)
        ]
        if not frames:
            raise ValueError("no frames")
        return np.stack(frames)


def _key(path: pathlib.Path) -> str:
    found = _NAME.match(path.name)
    return found[0] if found else path.name


def _write(
    out: pathlib.Path, found: dict[str, list[np.ndarray]], settings: Any
) -> None:
    content: dict[str, Any] = {}
    for split, clips in found.items():
        if not clips:
            raise RecipeError(
                f"No sequence of the {split} split is long enough. "
                f"Received: least_frames={settings.least_frames}."
            )
        content[split] = np.concatenate(clips)
        content[f"{split}_lengths"] = np.array(list(map(len, clips)))
        print(f"{split}: {len(clips)} sequences, {len(content[split])} frames")
    with atomic_path(out) as partial:
        np.savez(partial, **content)
