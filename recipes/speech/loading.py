"""Finds the recordings that a data set's name and a path stand for."""

import hashlib
import pathlib

import h5py

from recipes.errors import RecipeError
from recipes.speech.config import prepare_settings, prepared_path
from recipes.speech.data import prepare
from recipes.speech.prepared import PreparedSpeech
from recipes.speech.store import SPLITS
from recipes.speech.tfrecord import TFRecordSpeech, holds_tfrecords


def load_speech(name, path=None, show_progress=True):
    """Opens a data set of speech; prepares it if need be.

    Args:
        name: str. One of `recipes.speech.config.NAMES`.
        path: Path of a prepared file, of a folder of TFRecord files or one of
            them, or of the recordings of the corpus `name`. Default: what
            `prepare speech corpus=NAME` made.
        show_progress: bool. Default: `True`.

    Returns:
        `Recordings`.

    Raises:
        ValueError: What is there is damaged, or of another corpus.
        FileNotFoundError: Nothing is there.
        OSError: The spoken digits could not be fetched.
        ImportError: TFRecord files without TensorFlow, or recordings that
            need soundfile.
    """
    if path is None:
        return _by_name(name, show_progress)
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"There is nothing at {path}. Received: data_path={str(path)!r}."
        )
    if holds_tfrecords(path):
        found = TFRecordSpeech(path)
    elif path.stem in SPLITS and holds_tfrecords(path.parent):
        found = TFRecordSpeech(path.parent)
    elif name == "speech" or (path.is_file() and h5py.is_hdf5(path)):
        found = PreparedSpeech(path)
    else:
        return _prepared(name, path, show_progress)
    corpus = found.attributes["corpus"]
    if name not in ("speech", corpus):
        raise ValueError(
            f"{path} was prepared with corpus={corpus}: its name is speech. "
            f"Received: data={name!r}."
        )
    return found


def _by_name(name, show_progress):
    path = prepared_path(name)
    if path.is_file():
        return PreparedSpeech(path)
    if name == "digits":
        return _prepared(name, None, show_progress)
    if name == "speech":
        raise RecipeError(
            "The data set speech is any prepared file: name it with "
            "data_path=FILE. Received: data_path=None."
        )
    source = "" if name == "ljspeech" else " source=FOLDER"
    raise RecipeError(
        f"There is no {path} yet. Make it with `python -m recipes prepare "
        f"speech corpus={name}{source}`, or name the recordings or a prepared "
        "file with data_path=PATH. Received: data_path=None."
    )


def _prepared(name, source, show_progress):
    """Returns what `prepare speech` makes, kept in the cache folder."""
    settings = prepare_settings(name)
    if source is not None:
        # Another content at the same path has another name.
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        told = [str(source.resolve())] + [
            f"{file.name} {file.stat().st_size}"
            for file in files
            if file.is_file()
        ]
        key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
        out = str(prepared_path(f"{name}-{key}"))
        settings = settings.changed(source=str(source), out=out)
    if not settings.out_path.is_file():
        prepare(
            settings,
            print if show_progress else lambda line: None,
            None if show_progress else False,
        )
    return PreparedSpeech(settings.out_path)
