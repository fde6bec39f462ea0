"""Checks of single arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_MAX_LAYERS = 100


def check_num_features(expected: int, received: int) -> None:
    """Raises an error for data of another width than a cell was made for."""
    if received != expected:
        raise ValueError(
            f"The cell was made for {expected} features. "
            f"Received: data with {received}. Pass `num_features`."
        )


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Returns a number of things as an integer.

    Args:
        name: Name of the argument, for the error.
        value: What the user passed.
        least: Smallest value that is allowed.

    Raises:
        ValueError: If it is no whole number, or too small.
    """
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or value % 1 or value < least:
        raise ValueError(
            f"`{name}` must be an integer of {least} or more. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_units(units: Sequence[int], name: str = "units") -> list[int]:
    """Returns sizes of layers as integers.

    Args:
        units: What the user passed.
        name: Name of the argument, for the error.

    Raises:
        ValueError: If there is none, one below 1, or more than 100 of them.
    """
    if not len(units):
        raise ValueError(
            f"`{name}` must be one or more sizes. Received: {name}={units!r}"
        )
    if len(units) > _MAX_LAYERS:
        raise ValueError(
            f"`{name}` must be the sizes of at most {_MAX_LAYERS} layers. "
            f"Received: {name} of length {len(units)}"
        )
    return _sizes(name, units)


def check_hidden_units(units: Sequence[int] | None) -> list[int] | None:
    """Returns sizes of hidden layers, of which there may be none.

    Args:
        units: What the user passed; None, which leaves them open, stays.

    Raises:
        ValueError: If one is below 1.
    """
    if units is None:
        return None
    return _sizes("hidden_units", units)


def _sizes(name: str, units: Sequence[int]) -> list[int]:
    try:
        return [check_count(name, size) for size in units]
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be integers of 1 or more. "
            f"Received: {name}={units!r}"
        ) from None


def check_positive(name: str, value: float) -> float:
    """Returns a number above zero as a float.

    Args:
        name: Name of the argument, for the error.
        value: What the user passed.

    Raises:
        ValueError: If it is not above zero, or not finite.
    """
    if not 0 < value < float("inf"):
        raise ValueError(
            f"`{name}` must be positive. Received: {name}={value!r}"
        )
    return float(value)
