"""Programs that are told what to do by settings, on a command line."""

import argparse
import dataclasses
import errno
import importlib.util
import os
import pathlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipes.errors import RecipeError, refusal_of
from recipes.settings.base import (
    Metavar,
    Settings,
    as_text,
    choices_of,
    kinds_of,
    nearest,
)

_USAGE = "[name=value | --name value]..."
BACKENDS = ("tensorflow", "jax", "torch")
# What an operating system says of places that a user chose badly.
_OF_PLACES = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A command with settings.

    Attributes:
        command: What starts it: `"python -m recipes fit"`.
        summary: One line on what it does.
        description: What the help says first. This and the defaults may be
            functions of the texts that are given, by name: of the data set.
        defaults: The settings where nothing else is said.
        run: Does the work, as the settings say.
        positional: Name of the setting that may be given without its name.
    """

    command: str
    summary: str
    description: str | Callable[[Mapping[str, str]], str]
    defaults: Settings | Callable[[Mapping[str, str]], Settings]
    run: Callable[[Any], object]
    positional: str | None = None

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Runs the program; returns the exit code.

        Args:
            argv: Arguments. Default: those of the process.
        """
        return guarded(self.start, sys.argv[1:] if argv is None else argv)

    def start(self, argv: Sequence[str]) -> None:
        """Runs the program, or prints its help."""
        wants_help = bool({"-h", "--help"} & set(argv))
        words = [word for word in argv if word not in ("-h", "--help")]
        given = read_arguments(words, self.positional)
        defaults, description = self.defaults, self.description
        if callable(defaults):
            defaults = defaults(given)
        if wants_help:
            if callable(description):
                description = description(given)
            print(self.help_text(defaults, description))
            return
        choose_backend()
        self.run(defaults.changed(**given))

    def help_text(self, defaults: Settings, description: str) -> str:
        """Returns the help, with the defaults that hold."""
        first = f"[{self.positional.upper()}] " if self.positional else ""
        parser = argparse.ArgumentParser(
            prog=self.command,
            usage=f"{self.command} {first}{_USAGE}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        groups: dict[str, Any] = {}
        for name, field in type(defaults).model_fields.items():
            heading = _heading(type(defaults), name)
            if heading not in groups:
                groups[heading] = parser.add_argument_group(heading)
            groups[heading].add_argument(
                "--" + name.replace("_", "-"),
                metavar=_metavar(name, field),
                help=_help(field.description or "", getattr(defaults, name)),
            )
        return parser.format_help().rstrip()


def lazily(name: str) -> Callable[[Any], object]:
    """Returns a function that is imported where it is called: help is quick.

    Args:
        name: `"module:function"`.
    """
    return lambda settings: pkgutil.resolve_name(name)(settings)


def run_one_of(
    verbs: Mapping[str, Program], argv: Sequence[str] | None = None
) -> int:
    """Runs the program that the first argument names; returns the exit code.

    Args:
        verbs: Programs by the last word of their commands, which all else is
            alike in.
        argv: Arguments. Default: those of the process.
    """
    given = sys.argv[1:] if argv is None else argv
    return guarded(_start_one_of, verbs, given)


def _start_one_of(verbs: Mapping[str, Program], argv: Sequence[str]) -> None:
    name, *rest = argv or ("help",)
    if name in verbs:
        verbs[name].start(rest)
        return
    if name not in ("-h", "--help", "help"):
        raise RecipeError(
            f"The verbs are {', '.join(verbs)}."
            f"{nearest(name, verbs, '`')} Received: {name!r}."
        )
    command = next(iter(verbs.values())).command.rpartition(" ")[0]
    print(f"usage: {command} VERB {_USAGE}\n")
    for name, verb in verbs.items():
        print(f"  {name:<10} {verb.summary}")
    print(
        f"\n`{command} VERB --help` lists the settings of a verb. The\n"
        f"backend is that of KERAS_BACKEND: {', '.join(BACKENDS[:-1])} or "
        f"{BACKENDS[-1]}."
    )


def read_arguments(
    argv: Sequence[str], positional: str | None = None
) -> dict[str, str]:
    """Returns the texts that are given, by name.

    A setting is given as `name=value`, `--name=value` or `--name value`.

    Args:
        argv: Arguments.
        positional: Name of what is given without a name. Default: nothing
            is.
    """
    given: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if word.startswith("--") and not equals:
            found = next(words, None)
            if found is None:
                raise RecipeError(f"`{word}` needs a value. Received: none.")
            given[name] = found
        elif equals and name.isidentifier():
            given[name] = value
        elif positional and not word.startswith("-") and word != "":
            given.setdefault(positional, word)
            positional = None
        else:
            raise RecipeError(
                "Settings are given as name=value or --name value. "
                f"Received: {word!r}."
            )
    return given


def guarded(start: Callable[..., None], *arguments: Any) -> int:
    """Runs a function; tells faults that the user can mend in one line.

    Returns:
        The exit code: 0, 2 for such a fault, 130 for an interrupt, and 141
        where nobody reads on, as after `| head`.
    """
    try:
        start(*arguments)
        sys.stdout.flush()
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would flush what is left once more, and tell of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _OF_PLACES:
            raise
        print(f"error: {refusal_of(error)}", file=sys.stderr)
        return 2
    return 0


def this_program() -> str:
    """Returns how this user runs the recipes, for hints."""
    python = sys.executable or "python"
    near = os.path.relpath(python)
    return f"{python if near.startswith('..') else near} -m recipes"


def choose_backend() -> None:
    """Takes a backend that is installed, where the user names none."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    if (
        os.environ.get("KERAS_BACKEND")
        or "keras" in sys.modules
        or (pathlib.Path(home) / "keras.json").exists()
    ):
        return
    for name in BACKENDS:
        if importlib.util.find_spec(name):
            os.environ["KERAS_BACKEND"] = name
            return
    raise RecipeError(
        "Keras needs TensorFlow, JAX or PyTorch, and none is installed. Run "
        'for one `pip install "keras_fivo[jax]"`.'
    )


def _heading(cls: type[Settings], name: str) -> str:
    """Returns the heading of the class that the field is first of."""
    owners = [c for c in cls.__mro__ if issubclass(c, Settings)]
    return [c for c in owners if name in c.model_fields][-1].heading


def _help(description: str, value: Any) -> str:
    text = " ".join(description.replace("%", "%%").split())
    if value in ("", ()) or (value is None and "not set" in text):
        return text
    return f"{text} [{'not set' if value is None else as_text(value)}]"


def _metavar(name: str, field: Any) -> str:
    kinds = kinds_of(field.annotation)
    for mark in (*field.metadata, *_marks(field.annotation)):
        if isinstance(mark, Metavar):
            return str(mark)
    choices = "{" + ",".join(map(str, choices_of(field.annotation))) + "}"
    if tuple in kinds:
        many = "N" if "int" in str(field.annotation) else "NAME"
        return f"{many},{many},..."
    if choices != "{}":
        return choices
    known = {int: "N", float: "X", bool: "{true,false}"}
    return next((known[k] for k in kinds if k in known), name.upper())


def _marks(annotation: Any) -> list[Any]:
    """Returns what a part of the annotation is marked with."""
    parts = getattr(annotation, "__args__", ())
    found = list(getattr(annotation, "__metadata__", ()))
    return found + [mark for part in parts for mark in _marks(part)]
