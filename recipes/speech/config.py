"""The settings of the speech recipe that are its own, and of `prepare`.

Nothing here imports Keras: asking for help is quick.
"""

import pathlib
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recipes.settings import common, iterative
from recipes.settings.base import (
    FilePath,
    Metavar,
    Natural,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.storage import cache_folder

DENSITIES = (
    "normal",
    "autoregressive_normal",
    "normal_mixture",
    "student_t",
    "laplace",
)
_Share = Annotated[float, Field(ge=0, le=0.9)]


def prepared_path(corpus: str, suffix: str = ".h5") -> pathlib.Path:
    """Returns where the prepared file of a corpus is, if no path is given."""
    return cache_folder() / "speech" / f"{corpus}{suffix}"


class RecordingSettings(Settings):
    """Which recordings."""

    heading: ClassVar[str] = "Recordings"
    corpus: Literal["timit", "digits", "ljspeech", "folder"] = "folder"
    """Kind of recordings: `timit` is the TIMIT corpus, split as the original
    code does; `digits` the Free Spoken Digit Dataset, with its own test split;
    `ljspeech` LJSpeech; `folder` any WAV, FLAC or OGG files."""
    source: Annotated[str, Metavar("PATH")] | None = None
    """Folder of the recordings (for `digits` also an .npz file). Without it,
    `digits` is fetched, and `ljspeech` too, of 2.7 GB."""
    sample_rate: Positive | None = None
    """Samples per second to resample to. If it is not set, recordings keep
    their rate."""
    skip_corrupt: bool = False
    """Whether recordings that cannot be read are left out, and named."""


class SplitSettings(Settings):
    """What becomes of train, valid and test."""

    heading: ClassVar[str] = "Splits"
    split_by: Literal["random", "speaker", "folder", "list"] = "random"
    """Rule by which a corpus of the kind `folder` is split: `random` by
    recording; `speaker` so that no speaker is in two splits; `folder` by the
    folders train, valid, test; `list` as `split_list` says."""
    split_list: FilePath | None = None
    """Text file of lines `train PATH`, `valid PATH`, `test PATH`, each path
    within the source."""
    speaker_pattern: Annotated[str, Metavar("REGEX")] = "([^/]+)/"
    """Regular expression that finds the speaker in a path within the source:
    the first group of its first match. The usual one finds the outermost
    folder."""
    valid_fraction: _Share = 0.05
    """Share of train that is held out as valid, where the corpus names no
    valid."""
    test_fraction: _Share = 0.1
    """Share that is held out as test, where the corpus names no test."""
    seed: Natural = 1234
    """Seed of the choice of what is held out."""


class PreparedSettings(Settings):
    """What is written."""

    heading: ClassVar[str] = "Prepared file"
    samples_per_step: Positive = 200
    """Number of samples that make one time step."""
    format: Literal["hdf5", "tfrecord"] = "hdf5"
    """Format of the result: `hdf5` is a file that every backend reads;
    `tfrecord` a folder of the original code's files, which needs
    TensorFlow."""
    out: FilePath | None = None
    """File or folder to write. If it is not set, CORPUS.h5 or CORPUS.tfrecord
    in the cache folder."""
    overwrite: bool = False
    """Whether a file that is there is replaced."""


# The last base comes first in the help.
class PrepareSpeechSettings(
    PreparedSettings, SplitSettings, RecordingSettings, common.PrepareSettings
):
    """What `prepare speech` can be told."""

    @property
    def out_path(self) -> pathlib.Path:
        """The prepared file, or the folder of TFRecord files."""
        if self.out:
            return pathlib.Path(self.out).expanduser()
        suffix = ".h5" if self.format == "hdf5" else ".tfrecord"
        return prepared_path(self.corpus, suffix)


def prepare_settings(corpus: str) -> PrepareSpeechSettings:
    """Returns what `prepare` is told of a corpus where nothing else is said."""
    usual = PrepareSpeechSettings(corpus=corpus)
    # The digits are few.
    return usual.changed(valid_fraction=0.1) if corpus == "digits" else usual


class FitSettings(iterative.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Speech"
    clip_seconds: PositiveFloat | None = None
    """Number of seconds of the clips that recordings are cut into for
    training. If it is not set, training takes whole recordings, as validation
    and testing do."""
    emission: Literal[
        "normal",
        "autoregressive_normal",
        "normal_mixture",
        "student_t",
        "laplace",
        "quantized_normal",
        "discretized_logistic_mixture",
    ] = "normal"
    """Distribution of the samples of a step, given the latents and the past.
    The two last ones are probabilities of 16-bit values, the others
    densities; with `autoregressive_normal` the samples before predict the
    next."""
    order: Positive = 16
    """Number of samples that `autoregressive_normal` predicts from."""
    min_scale: PositiveFloat = 1e-3
    """Smallest scale of the emission, in standard deviations of the train
    split."""
    num_components: Positive = 5
    """Number of components of a mixture."""
