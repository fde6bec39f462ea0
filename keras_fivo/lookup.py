"""Objects from names, configurations and files, and what tells them apart."""

from collections.abc import Mapping
from typing import Any

import keras


def find(
    identifier: Any, known: Mapping[str, Any], base: type, argument: str
) -> Any:
    """Finds an object of class `base`: itself, by name or by its config.

    Args:
        identifier: An object, a name in `known`, or a serialized object.
        known: Classes, or functions without arguments, by name.
        base: What the object must be an instance of.
        argument: Name of the argument, for the errors.

    Raises:
        ValueError: For a name that is not known.
        TypeError: For an object of another class.
    """
    if isinstance(identifier, str):
        if identifier not in known:
            raise ValueError(
                f"`{argument}` must be one of {sorted(known)}, or an "
                f"instance of {base.__name__}. "
                f"Received: {argument}={identifier!r}"
            )
        return known[identifier]()
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(identifier, base):
        raise TypeError(
            f"`{argument}` must be an instance of {base.__name__}, or one of "
            f"the names {sorted(known)}. Received: {argument}={identifier!r}"
        )
    return identifier


def typed(
    given: Any, kind: type, argument: str, absent: tuple = (None,)
) -> Any:
    """Returns a part as it was given, or rebuilt from its configuration.

    Args:
        given: An object, its configuration, or one of `absent`.
        kind: What the object must be an instance of.
        argument: Name of the argument, for the error.
        absent: What else may stand there, as None for the default.

    Raises:
        TypeError: For what is no such part.
    """
    if isinstance(given, dict):
        given = keras.saving.deserialize_keras_object(given)
    if isinstance(given, kind) or any(given is x for x in absent):
        return given
    admitted = " or ".join([f"a {kind.__name__}", *map(str, absent)])
    raise TypeError(
        f"`{argument}` must be {admitted}. Received: {argument}={given!r}"
    )


class _Itself:
    """Stands for an object that can be told from others by itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def key_of(value: Any) -> Any:
    """Makes a key of a dict, equal for two objects only if they do the same.

    The configuration would not do: a class may not have written its own.

    Args:
        value: A `Configurable`, which is told by its class and attributes,
            or any of these.
    """
    if isinstance(value, Configurable):
        return type(value), key_of(vars(value))
    if isinstance(value, dict):
        return tuple((name, key_of(x)) for name, x in value.items())
    if isinstance(value, list | tuple):
        return type(value), *map(key_of, value)
    if isinstance(value, str | int | float | None):
        return type(value), value
    return _Itself(value)


class Configurable:
    """Saved and rebuilt by the arguments of its constructor."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """Rebuilds the object."""
        return cls(**config)


class BuiltByOwner:
    """A layer that its owner builds, or that its constructor does.

    Keras builds others from the shapes in a file, before it loads weights.
    """

    def get_build_config(self) -> None:
        """Returns nothing to build from."""
        return None
