"""Names for what the library passes around."""

from collections.abc import Sequence
from typing import Any

Tensor = Any
"""A tensor of the active backend; Keras 3 has no common base class."""

Nested = Any
"""A tensor, or a list, tuple or dict of nested tensors."""

Shape = Sequence[int | None]
"""Sizes by axis; `None` where unknown until run time."""

SeedLike = Any
"""An int, a `keras.random.SeedGenerator`, or `None`."""
