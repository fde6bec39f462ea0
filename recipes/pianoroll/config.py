"""The settings of the piano-roll recipe that are its own."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recipes.settings import common, iterative
from recipes.settings.base import PositiveFloat

Emission = Literal["bernoulli", "autoregressive_bernoulli"]


class FitSettings(iterative.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Piano rolls"
    emission: Emission = "bernoulli"
    """Distribution of the notes of a step: independent of each other, or each
    given the lower ones."""
    transpose: Annotated[int, Field(ge=1, le=11)] | None = None
    """Largest number of semitones that a training song is moved up or down by,
    at random and anew in each epoch. If it is not set, songs keep their
    key."""


class SampleSettings(common.SampleSettings):
    """What `sample` can be told."""

    tempo: PositiveFloat = 90.0
    """Quarter notes per minute of the MIDI files and sounds."""
