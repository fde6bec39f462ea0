"""The settings of the verbs that make and show presets."""

from typing import Annotated, ClassVar

from pydantic import Field

from recipes.settings.base import FolderPath, Positive, Settings
from recipes.settings.common import TrainedSettings


class PresetSettings(TrainedSettings):
    """What `preset` can be told."""

    heading: ClassVar[str] = "Preset"
    name: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]*)?$")] = ""
    """Name of the preset, of small letters, digits, - and _. If it is not
    set, the one of the folder of the run."""
    num_particles: Positive = 128
    """Number of particles of the bounds of the card."""
    output: FolderPath = "presets"
    """Folder that the folder of the preset is written into."""


class GallerySettings(Settings):
    """What `gallery` can be told."""

    heading: ClassVar[str] = "Gallery"
    presets: FolderPath | None = None
    """Folder of the folders of presets. If it is not set, those that are
    shipped."""
    draw: bool = False
    """Whether pictures and sounds of all presets are made anew."""
    data_folder: FolderPath | None = None
    """Folder of files that data sets are read from, such as jsb.npz. What is
    not there comes from its own source."""
    output: FolderPath = "docs"
    """Folder that gallery.md is written into, beside the pictures and sounds
    in gallery/."""
