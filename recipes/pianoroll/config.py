"""The settings of the piano-roll recipe that are its own."""

from typing import ClassVar, Literal

from recipes.settings import common
from recipes.settings.base import PositiveFloat

Emission = Literal["bernoulli", "autoregressive_bernoulli"]


class FitSettings(common.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Piano rolls"
    emission: Emission = "bernoulli"
    """Distribution of the notes of a step: independent of each other, or each
    given the lower ones."""


class SampleSettings(common.SampleSettings):
    """What `sample` can be told."""

    tempo: PositiveFloat = 90.0
    """Quarter notes per minute of the MIDI files."""
