"""Models as folders, in the layout of keras-hub: saved and loaded."""

import datetime
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import keras

from keras_fivo.presets.sources import (
    CARD,
    CONFIG,
    METADATA,
    WEIGHTS,
    digest,
    preset_folder,
    read_json,
)


class FromPresets:
    """Gives a class of Keras models its presets."""

    @classmethod
    def from_preset(cls, preset: Any) -> Any:
        """Returns a trained model, with cell, bounds, centring and weights.

        Args:
            preset: Name of a shipped preset, one of `presets`; path of a
                folder that `save_to_preset` wrote; or handle of a hub that
                begins with `"hf://"` or `"kaggle://"`.

        Raises:
            ValueError: If there is no such preset, or it was changed.
            ImportError: If the library that fetches it is not installed.
        """
        return load_preset(cls, preset)

    def save_to_preset(self, folder: Any, card: str | None = None) -> None:
        """Writes the model to a new folder that `from_preset` reads.

        Args:
            folder: Path of a folder that does not exist yet.
            card: Model card in Markdown, written as `README.md`.

        Raises:
            ValueError: If the folder exists, or the model is not built.
        """
        save_preset(self, folder, card)


def save_preset(
    model: keras.Model, folder: Any, card: str | None = None
) -> None:
    """Writes a model to a folder that `load_preset` reads.

    The folder is whole or not there: it is written beside and then renamed.
    It holds `config.json`, `model.weights.h5`, `metadata.json` with their
    hashes and, where there is a model card, `README.md`.

    Args:
        model: Built model of a class registered under `keras_fivo`.
        folder: Path of a folder that does not exist yet.
        card: Model card in Markdown: data and their licence, protocol,
            command, seed, numbers reached, intended use and limits.

    Raises:
        ValueError: If the folder exists, or the model has no weights.
    """
    target = pathlib.Path(folder).expanduser().absolute()
    if target.exists():
        raise ValueError(
            "A preset is written to a folder of its own, which must not "
            f"exist yet. Received: folder={str(folder)!r}, which does"
        )
    if not model.built:
        raise ValueError(
            "A model must be built before it is saved as a preset: fit it, "
            "load it or call `model.build`. Received: a model without weights"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(tempfile.mkdtemp(dir=target.parent))
    try:
        _write(model, beside, card)
        os.chmod(beside, 0o755)
        os.rename(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _write(model: keras.Model, folder: pathlib.Path, card: str | None) -> None:
    config = {
        **keras.saving.serialize_keras_object(model),
        "build_config": model.get_build_config(),
    }
    config.pop("compile_config", None)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    model.save_weights(folder / WEIGHTS)
    metadata = {
        "class_name": type(model).__name__,
        "keras_version": keras.__version__,
        "parameter_count": int(model.count_params()),
        "date_saved": datetime.date.today().isoformat(),
        "sha256": {name: digest(folder / name) for name in (CONFIG, WEIGHTS)},
    }
    text = json.dumps(metadata, indent=2) + "\n"
    (folder / METADATA).write_text(text, "utf-8")
    if card is not None:
        (folder / CARD).write_text(card, "utf-8")


def load_preset(model_class: type, preset: Any) -> Any:
    """Returns the model of a preset, with its weights; runs no code of it.

    Args:
        model_class: Class that the model must be an instance of.
        preset: Name of a shipped preset, path of a folder, or handle that
            begins with `"hf://"` or `"kaggle://"`.

    Raises:
        ValueError: If there is no such preset, or it was changed, or it
            holds another kind of model.
        ImportError: If the library that fetches it is not installed.
    """
    folder = preset_folder(preset, model_class.__name__)
    config = read_json(folder / CONFIG)
    found = config.get("registered_name")
    if found != keras.saving.get_registered_name(model_class):
        raise ValueError(
            f"The preset must hold a {model_class.__name__}. Received: "
            f"{folder / CONFIG} with registered_name={found!r}"
        )
    _refuse_foreign(config, folder / CONFIG)
    model: Any = keras.saving.deserialize_keras_object(config, safe_mode=True)
    if not model.built:
        model.build_from_config(config.get("build_config"))
    model.load_weights(folder / WEIGHTS)
    return model


def _refuse_foreign(config: Any, path: pathlib.Path) -> None:
    """Refuses names of anything but parts of this library and of Keras."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        if not isinstance(item, dict):
            continue
        waiting += item.values()
        if "class_name" not in item and "module" not in item:
            continue
        name, module = item.get("registered_name"), item.get("module")
        ours = isinstance(name, str) and name.startswith("keras_fivo>")
        theirs = isinstance(module, str) and module.split(".")[0] == "keras"
        if item.get("class_name") == "__lambda__" or not (ours or theirs):
            raise ValueError(
                "A preset may name parts of keras_fivo and of Keras alone. "
                f"Received: {path} with class_name="
                f"{item.get('class_name')!r}, module={module!r}"
            )
