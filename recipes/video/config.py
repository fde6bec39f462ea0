"""The settings of the video recipe that are its own.

Nothing here imports Keras: asking for help is quick.
"""

import pathlib
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recipes.settings import common
from recipes.settings.base import (
    FilePath,
    FolderPath,
    Positive,
)
from recipes.settings.iterative import RefinementSettings
from recipes.storage import cache_folder

Side = Annotated[int, Field(ge=8, le=512)]


def prepared_path(recipe: str = "kth") -> pathlib.Path:
    """Returns where the prepared file is, if no path is given."""
    return cache_folder() / "video" / f"{recipe}.npz"


# The last base comes first in the help.
class FitSettings(RefinementSettings, common.FitSettings):
    """What `fit` can be told."""

    heading: ClassVar[str] = "Video"
    model: Literal["svg"] = "svg"
    """Cell of the model: stochastic video generation."""
    proposal: Literal["filtering", "transition", "iterative"] = "filtering"
    """Distribution that latents are drawn from: `filtering` is a network over
    the frames up to the step, `transition` sees none, `iterative` is refined in
    each step by the gradient of its free energy."""
    emission: Literal["bernoulli", "normal", "quantized_normal"] = "bernoulli"
    """Distribution of a pixel: `bernoulli` for black or white,
    `quantized_normal` for the probability of its 256 levels."""
    side: Side = 64
    """Height and width of the digits' frames, in pixels."""
    num_digits: Positive = 2
    """Number of digits."""
    num_frames: Positive = 20
    """Number of frames of a sequence of digits, and of the clips that training
    takes from longer ones."""
    train_sequences: Positive = 2_000
    """Number of sequences of digits in the train split."""
    grey: bool = False
    """Whether the pixels of digits have 256 levels, rather than two."""
    blocks: tuple[Positive, ...] = (16, 32, 64)
    """Numbers of filters of the encoder's blocks, each of which halves the
    frame; the decoder mirrors them."""
    convolutions: Positive = 2
    """Number of convolutions of each block."""
    encoding_dim: Positive = 64
    """Size of an encoded frame."""
    num_layers: Positive = 2
    """Number of LSTMs of the decoder."""
    skip_connections: bool = False
    """Whether the decoder reads what the encoder gave for the last frame."""
    normalization: Literal["group", "layer"] | None = "group"
    """Normalization of convolutions."""


class SampleSettings(common.SampleSettings):
    """What `sample` can be told."""

    frames_per_second: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Frames per second of the animation."""
    magnify: Positive = 2
    """Pixels of a picture for one of a frame."""


class PrepareVideoSettings(common.PrepareSettings):
    """What `prepare video` can be told."""

    heading: ClassVar[str] = "KTH Actions"
    source: FolderPath | None = None
    """Folder of the AVI files, person01_boxing_d1_uncomp.avi and so on, in any
    folders of its own; with 00sequences.txt, which says in which frames
    somebody is there."""
    side: Side = 64
    """Height and width that frames are scaled to, in pixels."""
    every: Positive = 1
    """Which frames are kept: 2 is every second one."""
    least_frames: Positive = 20
    """Number of frames below which a sequence is left out."""
    out: FilePath | None = None
    """File to write. If it is not set, kth.npz in the cache folder."""
    overwrite: bool = False
    """Whether a file that is there is replaced."""

    @property
    def out_path(self) -> pathlib.Path:
        """The prepared file."""
        if self.out:
            return pathlib.Path(self.out).expanduser()
        return prepared_path()
