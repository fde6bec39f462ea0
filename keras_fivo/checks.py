"""Checks of single arguments."""

from typing import Any

import numpy as np


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
