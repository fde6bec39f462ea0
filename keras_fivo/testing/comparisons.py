"""Comparisons that fail with the name of the property."""

from typing import Any

import keras
import numpy as np

from keras_fivo.types import Nested


def to_numpy(tree: Nested) -> Nested:
    """Copies all tensors to NumPy arrays."""
    return keras.tree.map_structure(
        lambda x: np.asarray(keras.ops.convert_to_numpy(x)), tree
    )


def require(condition: Any, claim: str, found: str = "") -> None:
    """Raises an `AssertionError` unless the condition holds.

    Args:
        condition: Whether the property holds.
        claim: The property, as a sentence.
        found: What was found instead.
    """
    if not condition:
        raise AssertionError(claim + (f" Found: {found}" if found else ""))


def require_equal(
    mine: Nested, theirs: Nested, claim: str, tolerance: float
) -> None:
    """Raises an `AssertionError` unless all arrays agree, NaN with NaN.

    Args:
        mine: Nested tensors or arrays.
        theirs: Nested tensors or arrays, of the same structure.
        claim: The property, as a sentence.
        tolerance: Largest difference, absolute or relative.
    """
    pairs = zip(
        keras.tree.flatten(to_numpy(mine)),
        keras.tree.flatten(to_numpy(theirs)),
        strict=True,
    )
    for a, b in pairs:
        require(a.shape == b.shape, claim, f"shapes {a.shape} and {b.shape}")
        if not np.allclose(a, b, tolerance, tolerance, equal_nan=True):
            worst = np.nanmax(np.abs(a.astype(float) - b.astype(float)))
            require(False, claim, f"values up to {worst:.3g} apart")
