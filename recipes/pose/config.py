"""The settings of the pose recipe that are its own."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recipes.settings import common
from recipes.settings.base import PositiveFloat


class FitSettings(common.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Poses"
    emission: Literal["normal", "student_t", "laplace", "normal_mixture"] = (
        "normal"
    )
    """Distribution of each coordinate, given the latents and the past."""
    min_scale: PositiveFloat = 3e-3
    """Smallest scale of the emission, in the units of the data."""


class SampleSettings(common.SampleSettings):
    """What `sample` can be told."""

    frames_per_second: Annotated[float, Field(gt=0, le=100)] = 12.5
    """Frames per second of the animation."""
    y_down: bool = False
    """Whether y grows downward in the data, as that of pixels does."""
