"""Sizes of what parts of a cell read, and a bound on those of weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_ENTRIES = 2**31


@dataclass(frozen=True)
class Sizes:
    """What a cell tells the parts that it builds, its proposal and its twist.

    Attributes:
        features: Sizes of the features of the context by name, in the order
            in which a part reads them.
        latent_dim: Size of the latent.
        embedded_dim: Size of the latent as networks read it.
        observation_dim: Number of features of an observation.
        present_dim: Size of an encoded observation.
        known: Names of the features that are known before the loop, where
            `past` has them.
        hidden_units: Sizes of hidden layers, where a part leaves them open.
        recurrent_dim: Size of a backward recurrence, likewise.
        activation: Activation of hidden layers.
        scale_options: Arguments of `NormalHead` for its scale.
        emission: The cell's head, or None.
    """

    features: Mapping[str, int]
    latent_dim: int
    embedded_dim: int
    observation_dim: int
    present_dim: int
    known: Sequence[str] = ()
    hidden_units: Sequence[int] = (32,)
    recurrent_dim: int = 32
    activation: Any = "relu"
    scale_options: dict = field(default_factory=dict)
    emission: Any = None

    @property
    def context_dims(self) -> list[int]:
        """Sizes of the features of the context, in their order."""
        return [*self.features.values()]


def check_entries(what: str, *shape: int) -> None:
    """Raises an error for a weight that no machine here could hold.

    Frameworks end the process where the memory for a weight is not there.

    Args:
        what: What the weight belongs to, for the message.
        shape: Shape of the weight.

    Raises:
        ValueError: If it has more than 2^31 entries.
    """
    if math.prod(shape) > MAX_ENTRIES:
        raise ValueError(
            f"{what} must have weights of at most {MAX_ENTRIES} entries; "
            f"choose smaller sizes. Received: a weight of shape {shape}"
        )
