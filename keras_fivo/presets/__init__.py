"""Trained models in folders: shipped with the library, saved, or on a hub."""

from keras_fivo.presets.folder import FromPresets as FromPresets
from keras_fivo.presets.folder import load_preset as load_preset
from keras_fivo.presets.folder import save_preset as save_preset
from keras_fivo.presets.sources import builtin_presets as builtin_presets
from keras_fivo.presets.sources import preset_folder as preset_folder
