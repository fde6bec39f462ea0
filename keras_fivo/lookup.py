"""Objects from names, or from their saved configuration."""

from collections.abc import Mapping
from typing import Any

import keras


def find(
    identifier: Any, known: Mapping[str, Any], base: type, argument: str
) -> Any:
    """An object of class `base`, given as itself, a name or its config.

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


class Configurable:
    """Saved and rebuilt by the arguments of its constructor."""

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """Rebuilds the object."""
        return cls(**config)
