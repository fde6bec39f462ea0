"""Points of a recipe's search space."""

import importlib


def space_of(recipe):
    """The module `search_space` of a recipe, by its name."""
    return importlib.import_module(f"recipes.{recipe}.search_space")


def known_in(space):
    """The settings that a search may change."""
    return (*space.CHOICES, *space.RANGES)


def choose(hp, names, space):
    """One point of the search space.

    Args:
        hp: `keras_tuner.HyperParameters`.
        names: The settings that are searched.
        space: Has `CHOICES`, values by name, and `RANGES`, the ends of a
            logarithmic scale by name.

    Returns:
        A dict of settings.

    Raises:
        ValueError: A name is not in the search space.
    """
    chosen = {}
    for name in names:
        if name in space.RANGES:
            low, high = space.RANGES[name]
            chosen[name] = hp.Float(name, low, high, sampling="log")
        elif name in space.CHOICES:
            values = space.CHOICES[name]
            ordered = not isinstance(values[0], str)
            chosen[name] = hp.Choice(name, list(values), ordered=ordered)
        else:
            raise ValueError(
                f"`search` may name {', '.join(known_in(space))}. "
                f"Received: search with {name!r}."
            )
    return chosen
