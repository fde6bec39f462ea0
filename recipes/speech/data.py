"""Turns recordings into a prepared file."""

import contextlib
import pathlib

import tqdm

from recipes.errors import FileError, RecipeError
from recipes.speech import corpora
from recipes.speech.audio import resample
from recipes.speech.digits import digits_folder
from recipes.speech.disk import writing
from recipes.speech.ljspeech import ljspeech_folder
from recipes.speech.store import SPLITS, Writer
from recipes.storage import scratch_folder


def prepare(settings, say=print, show_progress=None):
    """Writes the prepared file that the settings ask for.

    Recordings are read block by block, once; memory does not grow with them.
    If anything fails or stops it, nothing is left behind.

    Args:
        settings: `PrepareSpeechSettings`.
        say: Function that takes a line of text. Default: `print`.
        show_progress: bool. Default: whether standard error is a terminal.

    Returns:
        `pathlib.Path` of the file, or of the folder of TFRecord files.

    Raises:
        ValueError: A recording is corrupt, a split has nothing, or the
            recordings do not fit together.
        OSError: The disk is full, or a file cannot be read.
        ImportError: A recording needs soundfile, or `format` TensorFlow.
    """
    if settings.format == "tfrecord":
        return _prepare_tfrecords(settings, say, show_progress)
    path = settings.out_path
    if path.exists() and not settings.overwrite:
        raise ValueError(
            f"{path} exists; `overwrite=true` replaces it. "
            f"Received: out={str(path)!r}."
        )
    splits = find_sources(settings, say)
    counts = [len(splits.get(split, ())) for split in SPLITS]
    say("{} train / {} valid / {} test".format(*counts))
    _check_not_empty(splits, dict(zip(SPLITS, counts, strict=True)))
    with _folders_of(path), writing(path) as (file, disk):
        writer = Writer(file, disk.check)
        rate = _write_all(writer, splits, settings, say, show_progress)
        counts = {split: writer.count(split) for split in SPLITS}
        _check_not_empty(splits, counts)
        moments = writer.moments
        if moments.deviation == 0:
            raise ValueError(
                "The train recordings must not all be silent. "
                f"Received: samples that are all {moments.mean:g}."
            )
        writer.finish(
            corpus=settings.corpus,
            sample_rate=rate,
            samples_per_step=settings.samples_per_step,
        )
    say(f"train mean: {moments.mean:.6f}  train std: {moments.deviation:.6f}")
    say(f"Prepared: {path}")
    return path


def _prepare_tfrecords(settings, say, show_progress):
    """Writes the original's files, once the mean of train is known."""
    from recipes.speech import tfrecord
    from recipes.speech.prepared import PreparedSpeech

    folder = settings.out_path
    tfrecord.check_free(folder, settings.overwrite)
    tfrecord.check_tensorflow()
    with (
        _folders_of(folder),
        # Another name than that in which the records are written.
        scratch_folder(folder.with_name(f"{folder.name}.h5")) as scratch,
    ):
        file = scratch / "speech.h5"
        prepare(
            settings.changed(format="hdf5", out=str(file)),
            lambda line: line.startswith("Prepared") or say(line),
            show_progress,
        )
        with PreparedSpeech(file) as speech:
            tfrecord.write_tfrecords(speech, folder, settings.overwrite)
    say(f"Prepared: {folder}")
    return folder


def find_sources(settings, say=print):
    """Returns the recordings of a corpus: by split a list of `Source`.

    Args:
        settings: `PrepareSpeechSettings`.
        say: Function that takes a line of text. Default: `print`.
    """
    if settings.corpus == "ljspeech" and not settings.source:
        return corpora.folder(ljspeech_folder(say), "random", settings)
    if settings.corpus == "digits" and not settings.source:
        return corpora.spoken_digits(
            digits_folder(say), settings.valid_fraction, settings.seed
        )
    if not settings.source:
        raise RecipeError(
            "`prepare speech` needs the recordings: `source=PATH`. "
            "Received: source=None."
        )
    source = pathlib.Path(settings.source).expanduser()
    if not source.exists():
        raise RecipeError(
            f"There is nothing at {source}. "
            f"Received: source={settings.source!r}."
        )
    if settings.corpus == "timit":
        return corpora.timit(source, settings.valid_fraction, settings.seed)
    if settings.corpus == "digits":
        return corpora.spoken_digits(
            source, settings.valid_fraction, settings.seed
        )
    rule = "random" if settings.corpus == "ljspeech" else settings.split_by
    return corpora.folder(source, rule, settings)


def _write_all(writer, splits, settings, say, show_progress):
    """Appends every recording; gives the sample rate that they share."""
    rate = settings.sample_rate
    sources = [(split, s) for split in SPLITS for s in splits.get(split, ())]
    hidden = None if show_progress is None else not show_progress
    for split, source in tqdm.tqdm(sources, unit="recording", disable=hidden):
        try:
            recording = source.open()
            if settings.sample_rate:
                recording = resample(recording, settings.sample_rate)
            rate = rate or recording.rate
            _check_rate(source.name, recording.rate, rate)
            writer.append(split, source.name, recording.blocks())
        except FileError as error:
            if not settings.skip_corrupt:
                raise FileError(
                    f"{error} `skip_corrupt=true` leaves it out."
                ) from error
            with tqdm.tqdm.external_write_mode():
                say(f"Left out: {error}")
    return rate


def _check_rate(name, rate, expected):
    if rate != expected:
        raise ValueError(
            "All recordings must have one sample rate; `sample_rate` resamples "
            f"them. Received: {name} with {rate} samples a second, others with "
            f"{expected}."
        )


def _check_not_empty(splits, counts):
    for split in splits:
        if not counts[split]:
            raise ValueError(
                f"The split {split} must have a recording. Received: "
                "{train} train, {valid} valid, {test} test "
                "recordings.".format(**counts)
            )


@contextlib.contextmanager
def _folders_of(path):
    """Makes the folders of a file, and removes them again if it fails."""
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
