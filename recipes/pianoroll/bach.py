"""Bach's four-part chorales, from the corpus that music21 ships.

The encodings carry their own terms, so they are parsed on the user's machine
and nothing of them is kept with the code. They overlap the canonical `jsb`
set (332 of its 382 pieces): never train on one and test on the other.
"""

import hashlib
import importlib.util
import math
import pathlib
import re
import warnings

import numpy as np
import tqdm

from recipes.pianoroll.files import read_splits, write_splits
from recipes.pianoroll.rolls import LOWEST_NOTE, NUM_NOTES, SPLITS, PianoRolls
from recipes.storage import cache_folder

NAME = "bach"
_SOURCE = "corpus/bach of the package music21"
_CACHE_FILE = "bach-1.npz"
_NUM_PARTS = 4
_METRES = ("4/4", "3/4")
_FORMATS = (".mxl", ".xml", ".krn")
_TOLERANCE = 1e-6

# Works of two numbers with the same music, perhaps in another key: at least
# 0.65 of the shorter piece's changes of chord occur in the other piece.
_SAME_MUSIC = {
    "bwv166": "bwv84",
    "bwv177": "bwv117",
    "bwv274": "bwv62",
    "bwv279": "bwv158",
    "bwv280": "bwv176",
    "bwv324": "bwv10",
    "bwv398": "bwv197",
    "bwv414": "bwv253",
}


def load_bach(cache_dir=None, show_progress=True):
    """Loads the chorales; parses them the first time (about half a minute).

    The pieces in four parts and in 4/4 or 3/4 are read at a grid of quarter
    notes: what sounds at the start of a quarter counts. `split_of_work` says
    which piece goes where.

    Args:
        cache_dir: Path of the folder that keeps the result. Default: see
            `recipes.storage.cache_folder`.
        show_progress: bool. Default: `True`.

    Returns:
        `PianoRolls`.

    Raises:
        ImportError: There is neither a cached result nor music21.
    """
    path = cache_folder(cache_dir) / _CACHE_FILE
    if path.exists():
        try:
            return PianoRolls(NAME, **read_splits(path), source=_SOURCE)
        except ValueError as error:
            warnings.warn(f"Parsing the chorales again. {error}", stacklevel=2)
    splits = _parse_corpus(_corpus_folder(), show_progress)
    try:
        write_splits(path, splits)
    except OSError as error:
        warnings.warn(
            f"The parsed chorales could not be kept at {path} ({error}); the "
            "next run will parse them again.",
            stacklevel=2,
        )
    return PianoRolls(NAME, **splits, source=_SOURCE)


def split_of_work(title):
    """Returns the split of a piece: 14 works in 20 train, 3 valid, 3 test.

    All pieces of one work (one BWV number), and of works that share their
    music, go together. The rule is the SHA-256 of the work's name, modulo 20,
    and so holds whatever pieces there are.

    Args:
        title: str. Name of the file, such as `"bwv20.7"`.

    Returns:
        `"train"`, `"valid"` or `"test"`.
    """
    work = re.match(r"bwv\d+", title).group()
    work = _SAME_MUSIC.get(work, work)
    digest = hashlib.sha256(work.encode()).digest()
    share = int.from_bytes(digest[:8], "big") % 20
    return "train" if share < 14 else "valid" if share < 17 else "test"


def parse_chorale(path):
    """Reads one piece of the corpus.

    Args:
        path: Path of a `.mxl`, `.xml` or `.krn` file.

    Returns:
        A uint8 array `(quarters, 88)`, or `None` where the piece is not in
        four parts, or not in 4/4 or 3/4 throughout. Silence at the end is
        left out.
    """
    from music21 import converter

    # Without forceSource music21 would leave pickles of its own behind.
    score = converter.parse(path, forceSource=True)
    parts = [part.flatten() for part in score.parts]
    metres = [
        {metre.ratioString for metre in part["TimeSignature"]} for part in parts
    ]
    if len(parts) != _NUM_PARTS or not all(
        metre and metre.issubset(_METRES) for metre in metres
    ):
        return None
    end = max(part.highestTime for part in parts)
    roll = np.zeros((_next_quarter(end), NUM_NOTES), "uint8")
    for part in parts:
        for note in part.notes:
            start = float(note.offset)
            stop = start + float(note.duration.quarterLength)
            quarters = slice(_next_quarter(start), _next_quarter(stop))
            for pitch in note.pitches:
                roll[quarters, pitch.midi - LOWEST_NOTE] = 1
    return roll[: np.flatnonzero(roll.any(axis=1))[-1] + 1]


def _next_quarter(offset):
    # Triplets are not exact: 2.9999999 is the quarter 3.
    return math.ceil(offset - _TOLERANCE)


def _corpus_folder():
    spec = importlib.util.find_spec("music21")
    if spec is None:
        raise ImportError(
            "The Bach chorales come with the package music21, which is not "
            'installed. Run `pip install "keras_fivo[music]"`.'
        )
    folder = pathlib.Path(spec.origin).parent / "corpus" / "bach"
    if not any(folder.glob("*.mxl")):
        raise FileNotFoundError(
            "This music21 comes without its corpus. Install the package from "
            f"PyPI. Received: folder={folder!s}, which holds no chorales."
        )
    return folder


def _parse_corpus(folder, show_progress):
    paths = sorted(path for path in folder.iterdir() if path.suffix in _FORMATS)
    splits = {split: [] for split in SPLITS}
    if show_progress:
        print("Parsing the Bach chorales of music21, once:", flush=True)
    # None: only on a terminal.
    hidden = None if show_progress else True
    for path in tqdm.tqdm(paths, unit="piece", disable=hidden):
        roll = parse_chorale(path)
        if roll is not None:
            splits[split_of_work(path.name)].append(roll)
    return splits
