"""`prepare`: turns recordings into a data set."""

import signal

from recipes.errors import RecipeError, told_to_the_user
from recipes.settings.options import parse, parser_of
from recipes.speech.config import PrepareSpeechSettings

SUMMARY = "Turn recordings into a data set that is read piece by piece."
_USAGE = """\
usage: python -m recipes prepare speech [name=value | --name value]...

`python -m recipes prepare speech --help` lists the settings."""
_DESCRIPTION = """\
Turns recordings into one HDF5 file. Its sequences have steps of
`samples_per_step` samples, normalised by the mean and the standard deviation of
the train split.

  python -m recipes prepare speech corpus=timit source=corpora
  python -m recipes prepare speech corpus=digits \\
      source=free-spoken-digit-dataset/recordings out=digits.h5
  python -m recipes prepare speech source=voices split_by=speaker \\
      sample_rate=16000"""


def parser():
    """The argument parser of `prepare speech`."""
    return parser_of(
        PrepareSpeechSettings, "python -m recipes prepare speech", _DESCRIPTION
    )


def main(argv):
    """Runs the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_USAGE)
        return
    if argv[0] != "speech":
        raise RecipeError(
            f"`prepare` makes data of speech. Received: {argv[0]!r}."
        )
    given = parse(PrepareSpeechSettings, argv[1:], parser())
    run_prepare(PrepareSpeechSettings.from_given(given))


def run_prepare(settings):
    """Prepares a data set of speech.

    Args:
        settings: `PrepareSpeechSettings`.

    Returns:
        `pathlib.Path` of the prepared file.
    """
    from recipes.speech.data import prepare

    # Being terminated cleans up as an interrupt from the keyboard does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with told_to_the_user():
            return prepare(settings)
    finally:
        signal.signal(signal.SIGTERM, previous)
