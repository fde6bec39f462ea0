"""The command line of the recipes: one file per verb."""

import importlib
import importlib.util
import os
import pathlib
import sys

from recipes.errors import RecipeError

VERBS = (
    "list",
    "prepare",
    "fit",
    "evaluate",
    "sample",
    "tune",
    "benchmark",
    "demo",
)
_BACKENDS = ("tensorflow", "jax", "torch")


def main(argv=None):
    """Runs one verb.

    Args:
        argv: List of str. Default: the command line.

    Returns:
        int. The exit code: 0, or 2 for what the user can mend.
    """
    # Not list(...): once imported, recipes.cli.list has that name here.
    argv = [*(sys.argv[1:] if argv is None else argv)]
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(_help())
            return 0
        module = _verb(argv[0])
        if not {"-h", "--help"} & set(argv):
            choose_backend()
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        module.main(argv[1:])
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except SystemExit as stop:  # argparse, after its help
        return int(stop.code or 0)
    return 0


def program():
    """How this user runs the recipes, for hints."""
    python = sys.executable or "python"
    near = os.path.relpath(python)
    return f"{python if near.startswith('..') else near} -m recipes"


def choose_backend():
    """Takes a backend that is installed, where the user names none."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    if (
        os.environ.get("KERAS_BACKEND")
        or "keras" in sys.modules
        or (pathlib.Path(home) / "keras.json").exists()
    ):
        return
    for name in _BACKENDS:
        if importlib.util.find_spec(name):
            os.environ["KERAS_BACKEND"] = name
            return
    raise RecipeError(
        "Keras needs TensorFlow, JAX or PyTorch, and none is installed. Run "
        'for one `pip install "keras_fivo[jax]"`.'
    )


def _verb(name):
    if name not in VERBS:
        import difflib

        close = difflib.get_close_matches(name, VERBS, 1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        raise RecipeError(
            f"The verbs are {', '.join(VERBS)}.{hint} Received: {name!r}."
        )
    return importlib.import_module(f"recipes.cli.{name}")


def _help():
    lines = [
        "usage: python -m recipes VERB [name=value | --name value]...",
        "",
    ]
    lines += [f"  {name:<10} {_verb(name).SUMMARY}" for name in VERBS]
    lines += [
        "",
        "`python -m recipes VERB --help` lists the settings of a verb. The",
        "backend is that of KERAS_BACKEND: tensorflow, jax or torch.",
    ]
    return "\n".join(lines)
