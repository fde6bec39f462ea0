"""The command line of the recipes."""

from collections.abc import Sequence

from recipes.cli.verbs import VERBS
from recipes.settings.program import run_one_of


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        argv: Arguments. Default: those of the process.

    Returns:
        The exit code: 0, or 2 for what the user can mend.
    """
    return run_one_of(VERBS, argv)
