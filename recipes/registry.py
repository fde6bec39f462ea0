"""Which recipe a data set belongs to.

A recipe is a folder with `config.py` (names, settings, no Keras) and
`recipe.py` (what the verbs call); `recipes/README.md` lists their content. To
register one, add its folder's name to `RECIPES`.
"""

import difflib
import importlib
import pathlib

from recipes.errors import RecipeError

RECIPES = ("pianoroll", "pose", "speech", "ghmm")
DEFAULT = RECIPES[0]


def config_of(name):
    """The module `config` of a recipe."""
    return importlib.import_module(f"recipes.{name}.config")


def recipe_of(name):
    """The module `recipe` of a recipe."""
    return importlib.import_module(f"recipes.{name}.recipe")


def name_for(data):
    """The name of the recipe that knows a data set.

    Args:
        data: str. Name of a data set.

    Raises:
        RecipeError: None knows it.
    """
    known = {}
    for recipe in RECIPES:
        known |= dict.fromkeys(config_of(recipe).NAMES, recipe)
    if data not in known:
        close = difflib.get_close_matches(str(data), known, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise RecipeError(
            f"The known data sets are {', '.join(known)}. "
            f"Received: data={data!r}.{hint}"
        )
    return known[data]


def name_in(argv):
    """The name of the recipe that a command line is about.

    By the data set that it names or, if it names a run, by the run's record;
    the default recipe where neither tells.

    Args:
        argv: List of str.
    """
    data = _value(argv, "data")
    if data is not None:
        return name_for(data)
    for candidate in (_value(argv, "run"), _positional(argv)):
        if candidate is not None and (known := _data_of_run(candidate)):
            return name_for(known)
    return DEFAULT


def name_in_fit(argv):
    """As `name_in`, where what has no name is the data set."""
    data = _value(argv, "data")
    if data is None:
        data = _positional(argv)
    return DEFAULT if data is None else name_for(data)


def _value(argv, name):
    found = None
    for index, token in enumerate(argv):
        key, equals, value = token.partition("=")
        if key.lstrip("-").replace("-", "_") != name:
            continue
        if equals:
            found = value
        elif key.startswith("--") and index + 1 < len(argv):
            found = argv[index + 1]
    return found


def _positional(argv):
    """The first token that is neither a setting nor a flag's value."""
    after_flag = False
    for token in argv:
        is_flag = token.startswith("--") and len(token) > 2
        if not (is_flag or after_flag or "=" in token or token[:1] == "-"):
            return token
        after_flag = is_flag and "=" not in token and token != "--help"
    return None


def _data_of_run(run):
    from recipes.training.run_folder import RunFolder

    path = pathlib.Path(run).expanduser()
    folder = path.parent if path.suffix == ".keras" else path
    record = RunFolder(folder).read_record()
    return record and record["settings"].get("data")
