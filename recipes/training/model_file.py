"""Loads models from files that need not be trusted."""

import contextlib
import io
import json
import math
import zipfile

import h5py
import keras

import keras_fivo as kf
from recipes.errors import reading
from recipes.hdf5 import limited_memory, plain_datasets

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {_CONFIG, "metadata.json", _WEIGHTS}
_MAX_CONFIG = 2**20  # bytes
_KNOWN = (
    *("keras>DTypePolicy", "keras.initializers>", "keras.regularizers>"),
    *("keras.constraints>", "keras.layers>LSTMCell", "keras.layers>GRUCell"),
    *("keras.layers>SimpleRNNCell", "keras.layers>StackedRNNCells"),
    *("builtins>function", "keras_fivo>"),
)
# Numbers that may be larger than a model has weights.
_NO_SIZES = {"seed", "evaluation_seed", "shared_object_id"}
_LARGEST_COUNT = 2**20  # of particles or bins


def load_model(path, kind=kf.LatentSequenceModel):
    """Loads a model, for use and not for more training.

    What the file tells is checked before a weight is made of it: that it
    holds what Keras writes, weights in itself, and no more of them than the
    file; and no class but those of keras_fivo and of recurrent cells.

    Args:
        path: Path of a `.keras` file.
        kind: Class that the model must be of. Default: a latent sequence
            model.

    Returns:
        The model.

    Raises:
        FileError: It is damaged, hostile, or of something else.
    """
    with reading(path, "a model of keras_fivo, saved by Keras"):
        num_weights = _check(path)
        with _at_most(num_weights):
            model = keras.saving.load_model(path, compile=False)
        if not isinstance(model, kind):
            raise TypeError(f"a {type(model).__name__}")
        if not getattr(model, "cell", model).built:
            raise ValueError("a model without weights")
    return model


def _check(path):
    """Refuses what Keras would not write; gives the number of weights."""
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if sorted(e.filename for e in entries) != sorted(_MEMBERS) or any(
            e.compress_type != zipfile.ZIP_STORED for e in entries
        ):
            raise ValueError(f"an archive of {archive.namelist()[:5]}")
        size = file.seek(0, io.SEEK_END)
        if sum(e.file_size for e in entries) > size:
            raise ValueError("members that are larger than the file")
        if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG:
            raise ValueError(f"{_CONFIG} of more than {_MAX_CONFIG} bytes")
        weights = archive.read(_WEIGHTS)
        num_weights = _count_weights(weights)
        config = json.loads(archive.read(_CONFIG))
        config.pop("compile_config", None)  # as it is not compiled
        _check_config(config, num_weights)
    return num_weights


def _count_weights(content):
    with limited_memory(), h5py.File(io.BytesIO(content)) as file:
        datasets = plain_datasets(file, len(content))
        for dataset in datasets:
            if dataset.dtype.kind not in "biufV":
                raise TypeError(f"{dataset.name!r} of {dataset.dtype}")
            dict(dataset.attrs)  # a text that claims to be long is found here
        return sum(math.prod(dataset.shape) for dataset in datasets)


def _check_config(config, num_weights, name=""):
    """Refuses classes that no model here has, and sizes that none can have."""
    if isinstance(config, dict):
        if "class_name" in config:
            kind = f"{config.get('module')}>{config['class_name']}"
            if kind.startswith("keras_fivo."):
                kind = str(config.get("registered_name"))
            if not kind.startswith(_KNOWN):
                raise TypeError(f"an object of {kind}")
        for key, value in config.items():
            _check_config(value, num_weights, key)
    elif isinstance(config, list):
        for value in config:
            _check_config(value, num_weights, name)
    elif isinstance(config, int) and name not in _NO_SIZES:
        if abs(config) > max(num_weights, _LARGEST_COUNT):
            raise ValueError(f"{name!r} of {config}")


@contextlib.contextmanager
def _at_most(num_weights):
    """Refuses to make more weights than this, before they take memory."""
    add_weight = keras.layers.Layer.add_weight
    left = num_weights

    def counted(self, shape=None, *args, **kwargs):
        nonlocal left
        left -= math.prod(max(size, 0) for size in shape or ())
        if left < 0:
            raise ValueError(f"a weight of shape {shape}, which is not there")
        return add_weight(self, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = counted
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add_weight
