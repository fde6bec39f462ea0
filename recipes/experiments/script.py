"""A module of a recipe as a program of its own."""

import sys

from recipes.cli import choose_backend
from recipes.errors import RecipeError
from recipes.settings.options import parse, parser_of


def run_script(settings, name, description, run, argv=None):
    """Runs a program as its command line says.

    Args:
        settings: A subclass of `recipes.settings.options.Settings`.
        name: str. The module, after `python -m`.
        description: str. What the help says.
        run: Called with the settings.
        argv: List of str. Default: the command line.

    Returns:
        int. The exit code: 0, or 2 for what the user can mend.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser = parser_of(settings, f"python -m {name}", description)
        given = settings.from_given(parse(settings, argv, parser))
        choose_backend()
        run(given)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # argparse, after its help
        return int(stop.code or 0)
    return 0
