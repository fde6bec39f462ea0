"""The settings of `prepare speech`."""

import dataclasses
import pathlib

from recipes.settings import Settings, boolean, setting
from recipes.storage import cache_folder

CORPORA = ("timit", "digits", "ljspeech", "folder")
SPLIT_RULES = ("random", "speaker", "folder", "list")


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
        "The folder of the recordings (for digits also an .npz file). Only "
        "ljspeech can do without: it is downloaded then, 2.7 GB.",
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
    out: str | None = setting(
        None,
        "The file to write; not set: CORPUS.h5 in the cache folder.",
        "Prepared file",
        type=str,
        metavar="FILE",
    )
    overwrite: bool = setting(
        False, "Replace the file if there is one.", "Prepared file"
    )

    @property
    def out_path(self):
        """`pathlib.Path` of the prepared file."""
        if self.out:
            return pathlib.Path(self.out).expanduser()
        return cache_folder() / "speech" / f"{self.corpus}.h5"
