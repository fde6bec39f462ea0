"""The settings of the speech recipe that are its own, and of `prepare speech`.

Nothing here imports Keras: asking for help is quick.
"""

import dataclasses
import pathlib

from recipes.settings import common
from recipes.settings.options import Settings, boolean, setting
from recipes.storage import cache_folder

SOURCES = {
    "digits": "3,000 spoken digits, 8 kHz; fetched with git",
    "timit": "6,300 read sentences, 16 kHz; licensed, from a path of yours",
    "ljspeech": "one voice; `prepare speech corpus=ljspeech` downloads 2.7 GB",
    "speech": "any recordings: data_path=FILE that `prepare speech` made",
}
NAMES = tuple(SOURCES)
EMISSIONS = (
    "normal",
    "normal_mixture",
    "student_t",
    "laplace",
    "quantized_normal",
    "discretized_logistic_mixture",
)
SAMPLES = """\
Makes sounds: samples from nothing, continuations of the beginnings of
recordings, and one-step predictions, each step from the recording before it.
Written are samples.npz, a 16-bit WAV file of each sound, and three pictures of
waveforms and spectrograms: samples.png, continuations.png, predictions.png.

  python -m recipes sample runs/digits-vrnn-fivo
  python -m recipes sample runs/digits-vrnn-fivo prefix_length=12 split=valid"""

CORPORA = ("timit", "digits", "ljspeech", "folder")
SPLIT_RULES = ("random", "speaker", "folder", "list")
FORMATS = {"hdf5": ".h5", "tfrecord": ".tfrecord"}


def prepared_path(corpus, suffix=".h5"):
    """Where the prepared file of a corpus is, if no path is given."""
    return cache_folder() / "speech" / f"{corpus}{suffix}"


@dataclasses.dataclass(frozen=True)
class PrepareSpeechSettings(Settings):
    """What `prepare speech` takes."""

    corpus: str = setting(
        "folder",
        "timit: the TIMIT corpus, split as the original does. digits: the Free "
        "Spoken Digit Dataset, with its own test split. ljspeech: LJSpeech. "
        "folder: any WAV, FLAC or OGG files.",
        "Recordings",
        choices=CORPORA,
    )
    source: str | None = setting(
        None,
        "The folder of the recordings (for digits also an .npz file). digits "
        "and ljspeech can do without: they are fetched then, the latter of "
        "2.7 GB.",
        "Recordings",
        type=str,
        metavar="PATH",
    )
    sample_rate: int | None = setting(
        None,
        "Samples per second to resample to; not set: as recorded.",
        "Recordings",
        type=int,
        low=1,
    )
    skip_corrupt: bool = setting(
        False,
        "Leave out recordings that cannot be read, naming each.",
        "Recordings",
        type=boolean,
    )
    split_by: str = setting(
        "random",
        "How a corpus of the kind folder is split. random: by recording. "
        "speaker: no speaker is in two splits. folder: the folders train, "
        "valid, test. list: as `split_list` says.",
        "Splits",
        choices=SPLIT_RULES,
    )
    split_list: str | None = setting(
        None,
        "A text file of lines `train PATH`, `valid PATH`, `test PATH`, each "
        "path within the source.",
        "Splits",
        type=str,
        metavar="FILE",
    )
    speaker_pattern: str = setting(
        "([^/]+)/",
        "What finds the speaker in a path within the source: a regular "
        "expression, the first group of its first match. By default the "
        "outermost folder.",
        "Splits",
        metavar="REGEX",
    )
    valid_fraction: float = setting(
        0.05,
        "Share of train held out as valid, where the corpus names no valid.",
        "Splits",
        low=0.0,
        high=0.9,
        by_data={"digits": 0.1},
    )
    test_fraction: float = setting(
        0.1,
        "Share held out as test, where the corpus names no test.",
        "Splits",
        low=0.0,
        high=0.9,
    )
    seed: int = setting(1234, "Of what is held out.", "Splits", low=0)
    samples_per_step: int = setting(
        200, "Samples that are one time step.", "Prepared file", low=1
    )
    format: str = setting(
        "hdf5",
        "What to write. hdf5: a file that every backend reads. tfrecord: a "
        "folder of the original's files, which needs TensorFlow.",
        "Prepared file",
        choices=FORMATS,
    )
    out: str | None = setting(
        None,
        "The file or folder to write; not set: CORPUS.h5, or "
        "CORPUS.tfrecord, in the cache folder.",
        "Prepared file",
        type=str,
        metavar="FILE",
    )
    overwrite: bool = setting(
        False, "Replace the file if there is one.", "Prepared file"
    )

    @classmethod
    def from_given(cls, given, data=None):
        """Settings from the values that were given; see `Settings`."""
        return super().from_given(given, data or given.get("corpus"))

    @property
    def out_path(self):
        """`pathlib.Path` of the prepared file."""
        if self.out:
            return pathlib.Path(self.out).expanduser()
        return prepared_path(self.corpus, FORMATS[self.format])


_PATH = (
    "What `prepare speech` made, a file or a folder of TFRecord files; or the "
    "recordings, as its `source`: prepared once, in the cache folder."
)


@dataclasses.dataclass(frozen=True)
class FitSettings(common.FitSettings):
    """What `fit` takes."""

    data: str = common.data_setting("digits", NAMES)
    data_path: str | None = common.data_path_setting(_PATH, identity=False)
    clip_seconds: float | None = setting(
        None,
        "Train on clips of this many seconds; not set: on whole recordings. "
        "Validation and testing take whole recordings.",
        common.DATA,
        type=float,
        above=0,
        by_data={"timit": 0.5, "ljspeech": 0.5, "speech": 0.5},
    )
    chunk_length: int | None = setting(
        None,
        "The same in steps; not set: as `clip_seconds` says.",
        common.DATA,
        type=int,
        low=1,
    )
    batch_size: int = common.changed("batch_size", 16)
    latent_dim: int = common.changed("latent_dim", 64)
    units: int | None = common.changed(
        "units",
        None,
        by_data={"digits": 128, "timit": 256, "ljspeech": 256, "speech": 256},
    )
    emission: str = setting(
        "normal",
        "p(samples of a step | latent, past). The two last are probabilities "
        "of 16-bit values, the others densities.",
        common.MODEL,
        choices=EMISSIONS,
    )
    min_scale: float = setting(
        1e-3,
        "Least scale of the emission, in standard deviations of train.",
        common.MODEL,
        above=0,
    )
    num_components: int = setting(
        5, "Components by sample, of a mixture.", common.MODEL, low=1
    )
    learning_rate: float = common.changed("learning_rate", 1e-3)
    schedule: str = common.changed("schedule", "cosine")
    clipnorm: float | None = common.changed("clipnorm", 1.0)
    updates: int = common.changed("updates", 12_000)
    validate_every: int = common.changed("validate_every", 300)


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(common.EvaluateSettings):
    """What `evaluate` takes."""

    data: str | None = common.data_setting(None, NAMES)
    data_path: str | None = common.data_path_setting(_PATH)


@dataclasses.dataclass(frozen=True)
class SampleSettings(common.SampleSettings):
    """What `sample` takes."""

    data: str | None = common.data_setting(None, NAMES)
    data_path: str | None = common.data_path_setting(_PATH)
    num_prefixes: int = setting(
        3, "Recordings to continue, if there are as many.", "Samples", low=1
    )
    prefix_length: int = setting(
        8, "Steps that are given; 0: none.", "Samples", low=0
    )
    sample_length: int = setting(24, "Steps to sample.", "Samples", low=1)
    num_samples: int = setting(
        3,
        "Samples from nothing, and continuations of each prefix.",
        "Samples",
        low=1,
    )


@dataclasses.dataclass(frozen=True)
class TuneSettings(common.SearchSettings, FitSettings):
    """What `tune` takes: what `fit` takes, for each trial, and more."""
