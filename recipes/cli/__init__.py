"""The command line of the recipes."""

import sys
from collections.abc import Sequence

from recipes.cli.verbs import VERBS
from recipes.errors import RecipeError
from recipes.settings.base import nearest
from recipes.settings.program import guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        argv: Arguments. Default: those of the process.

    Returns:
        The exit code: 0, or 2 for what the user can mend.
    """
    return guarded(_start, sys.argv[1:] if argv is None else argv)


def _start(argv: Sequence[str]) -> None:
    name, *rest = argv or ("help",)
    if name in ("-h", "--help", "help"):
        print(_help())
        return
    if name not in VERBS:
        raise RecipeError(
            f"The verbs are {', '.join(VERBS)}."
            f"{nearest(name, VERBS, '`')} Received: {name!r}."
        )
    VERBS[name].start(rest)


def _help() -> str:
    lines = [
        "usage: python -m recipes VERB [name=value | --name value]...",
        "",
    ]
    for name, verb in VERBS.items():
        lines.append(f"  {name:<10} {verb.summary}")
    lines += [
        "",
        "`python -m recipes VERB --help` lists the settings of a verb. The",
        "backend is that of KERAS_BACKEND: tensorflow, jax or torch.",
    ]
    return "\n".join(lines)
