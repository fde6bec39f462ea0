"""Which recordings a corpus has, and which split each is in.

Each function gives a dict from split to a list of `Source`.
"""

import dataclasses
import functools
import itertools
import pathlib
import random
import re
from collections.abc import Callable

from recipes.errors import FileError, reading
from recipes.speech.audio import SUFFIXES, open_recording
from recipes.speech.clips import check_offsets
from recipes.speech.recording import (
    BLOCK,
    Recording,
    check_rate,
    check_sizes,
)
from recipes.speech.store import SPLITS

TEST_TAKES = 5  # of the spoken digits: the takes 0 to 4 are the test split
_DIGIT_NAME = re.compile(r"\d_(\w+)_(\d+)\.\w+")
_DIGIT_ARRAYS = (
    *("samples", "offsets", "sample_rate"),
    *("labels", "speakers", "speaker_names", "take"),
)
_LONGEST_NAME, _MAX_DIGITS = 256, 2**18


@dataclasses.dataclass(frozen=True)
class Source:
    """A recording that is not opened yet.

    Attributes:
        name: str. Unique within the corpus; its path, if it is a file.
        open: Function of no arguments that gives a `Recording`.
    """

    name: str
    open: Callable[[], Recording]


def shuffle(items, seed):
    """Shuffles a list in place, as `random.shuffle` of Python 2 does.

    The original ran on Python 2. Since 3.2, Python draws other indices from
    the same seed; the numbers of `random.random` are still the same.

    Args:
        items: List to shuffle.
        seed: int. As of `random.seed`.
    """
    generator = random.Random(seed)
    for last in range(len(items) - 1, 0, -1):
        other = int(generator.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def timit(root, valid_fraction, seed):
    """Finds TIMIT, split as the original: `TIMIT/{TRAIN,TEST}/*/*/*.WAV`.

    Args:
        root: Path of the folder that holds `TIMIT`.
        valid_fraction: float. The share of train that becomes valid, rounded
            down.
        seed: Seed of the split.
    """
    root = pathlib.Path(root)
    found = {
        split: sorted(map(str, root.glob(f"TIMIT/{split.upper()}/*/*/*.WAV")))
        for split in ("train", "test")
    }
    for split, paths in found.items():
        if not paths:
            raise ValueError(
                f"TIMIT must have files TIMIT/{split.upper()}/*/*/*.WAV. "
                f"Received: source={str(root)!r}, which has none."
            )
    train = found["train"]
    shuffle(train, seed)
    num_valid = int(len(train) * valid_fraction)
    splits = {"train": train[num_valid:], "test": found["test"]}
    if valid_fraction > 0:
        splits["valid"] = train[:num_valid]
    return _files(root, splits)


def spoken_digits(path, valid_fraction, seed):
    """Finds the Free Spoken Digit Dataset: takes 0 to 4 are the test split.

    Args:
        path: Path of its folder, whose files are `DIGIT_SPEAKER_TAKE.wav`, or
            of an `.npz` with `samples`, `offsets`, `take`, `sample_rate`,
            `labels`, `speakers` and `speaker_names`.
        valid_fraction: float. The share of the other takes that becomes valid.
        seed: Seed of the split.
    """
    path = pathlib.Path(path)
    if path.suffix == ".npz":
        sources, takes = _digits_of_npz(path)
    else:
        files = [
            (match, file)
            for file in find_recordings(path)
            if (match := _DIGIT_NAME.fullmatch(file.name))
        ]
        if not files:
            raise ValueError(
                "The spoken digits must be files DIGIT_SPEAKER_TAKE.wav. "
                f"Received: source={str(path)!r}, which has none."
            )
        sources = [_file(path, file) for _, file in files]
        takes = [int(match[2]) for match, _ in files]
    splits = {"train": [], "test": []}
    for source, take in zip(sources, takes, strict=True):
        splits["test" if take < TEST_TAKES else "train"].append(source)
    return hold_out(splits, {"valid": valid_fraction}, seed)


def folder(path, rule, settings):
    """Finds any folder of recordings.

    Args:
        path: Path of the file.
        rule: str. `"random"`, `"speaker"`, `"folder"` or `"list"`.
        settings: `PrepareSpeechSettings`.
    """
    path = pathlib.Path(path)
    speaker = None
    if rule == "list":
        splits = _listed(path, settings.split_list)
    elif rule == "folder":
        splits = _in_folders(path)
    else:
        splits = {"train": find_recordings(path)}
    if rule == "speaker":
        pattern = re.compile(settings.speaker_pattern)
        speaker = functools.partial(_speaker, pattern)
    if not splits.get("train"):
        raise ValueError(
            "There must be train recordings. Received: "
            f"split_by={rule!r} for source={str(path)!r}, which has none."
        )
    fractions = {
        "valid": settings.valid_fraction,
        "test": settings.test_fraction,
    }
    for split in splits.keys() & fractions.keys():
        del fractions[split]
    return hold_out(_files(path, splits), fractions, settings.seed, speaker)


def hold_out(splits, fractions, seed, group_of=None):
    """Moves random groups of train recordings to other splits.

    Args:
        splits: Dict from split to list of `Source`.
        fractions: Dict from split to its share of the groups; at least one
            group is moved.
        seed: Seed of the split.
        group_of: Function from the name of a recording to its group. Default:
            each recording is a group.

    Returns:
        A dict from split to list of `Source`.
    """
    fractions = {s: share for s, share in fractions.items() if share > 0}
    if not fractions:
        return splits
    groups = {}
    for source in splits["train"]:
        key = group_of(source.name) if group_of else source.name
        groups.setdefault(key, []).append(source)
    keys = sorted(groups)
    shuffle(keys, seed)
    splits, num_groups = dict(splits), len(keys)
    for split, fraction in fractions.items():
        count = max(1, int(num_groups * fraction))
        held, keys = keys[:count], keys[count:]
        splits[split] = [s for key in held for s in groups[key]]
    splits["train"] = [s for key in keys for s in groups[key]]
    return splits


def find_recordings(path):
    """Returns the recordings in a folder and all folders in it, sorted.

    Raises:
        ValueError: There are none.
    """
    if not path.is_dir():
        raise ValueError(f"There is no folder {path}.")
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise ValueError(
            "The folder must have recordings that end in "
            f"{', '.join(SUFFIXES)}. Received: source={str(path)!r}, which "
            "has none."
        )
    return files


def _in_folders(path):
    files = find_recordings(path)
    return {
        split: [f for f in files if f.relative_to(path).parts[0] == split]
        for split in SPLITS
        if (path / split).is_dir()
    }


def _speaker(pattern, name):
    match = pattern.search(name)
    if not match or not match.groups():
        raise ValueError(
            "`speaker_pattern` must find a speaker, as its first group, in "
            f"every path. Received: speaker_pattern={pattern.pattern!r}, which "
            f"finds none in {name!r}."
        )
    return match[1]


def _listed(path, split_list):
    if not split_list:
        raise ValueError(
            "`split_by=list` needs `split_list`, a file of lines `train PATH`. "
            "Received: split_list=None."
        )
    splits = {}
    with reading(split_list, "a text file of lines `train PATH`"):
        lines = pathlib.Path(split_list).read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        split, _, name = line.strip().partition(" ")
        file = path / name.strip()
        if split not in SPLITS or not name.strip() or not file.is_file():
            raise ValueError(
                f"A line of {split_list} must be `train`, `valid` or `test` "
                f"and the path of a file within {path}. "
                f"Received: line {number}, {line!r}."
            )
        splits.setdefault(split, []).append(file)
    return splits


def _digits_of_npz(path):
    from keras_fivo import load_arrays  # here, as Keras comes with it

    arrays = load_arrays(path, _DIGIT_ARRAYS)
    samples, names = arrays["samples"], arrays["speaker_names"]
    offsets, speakers, labels, takes = (
        arrays[name] for name in ("offsets", "speakers", "labels", "take")
    )
    rate = arrays["sample_rate"]
    check_offsets(path, offsets, samples)
    if (
        names.ndim != 1
        or names.dtype.kind != "U"
        or names.dtype.itemsize > 4 * _LONGEST_NAME
        or len(offsets) > _MAX_DIGITS
        or rate.shape != ()
        or any(
            each.shape != (len(offsets) - 1,)
            for each in (speakers, labels, takes)
        )
        or any(
            each.dtype.kind not in "iu"
            for each in (rate, speakers, labels, takes)
        )
        or not 0 <= speakers.min() <= speakers.max() < len(names)
    ):
        raise FileError(
            "An .npz of spoken digits has integers `labels`, `speakers` and "
            "`take` of each recording, the names of the speakers, and one "
            f"`sample_rate`. Received: path={path!s} with other ones."
        )
    sources = []
    for i, (start, stop) in enumerate(itertools.pairwise(offsets)):
        name = f"{labels[i]}_{names[speakers[i]]}_{takes[i]}"
        opener = functools.partial(
            _slice, f"{name} of {path}", int(rate), samples[start:stop]
        )
        sources.append(Source(name, opener))
    return sources, takes


def _slice(name, rate, samples):
    check_sizes(name, 1, len(samples))
    check_rate(name, rate)
    return Recording(
        rate,
        len(samples),
        lambda: (samples[i : i + BLOCK] for i in range(0, len(samples), BLOCK)),
    )


def _files(root, splits):
    return {s: [_file(root, file) for file in splits[s]] for s in splits}


def _file(root, file):
    name = pathlib.Path(file).relative_to(root).as_posix()
    return Source(name, functools.partial(_open_file, file))


def _open_file(file):
    try:
        return open_recording(file)
    except FileNotFoundError as error:
        raise FileError(f"{file} is gone.") from error
