"""Presets by name; Keras is imported for those on a hub alone."""

import importlib.util
import pathlib
from typing import Any

from recipes.errors import RecipeError, told_to_the_user
from recipes.settings.program import choose_backend
from recipes.storage import read_json
from recipes.training.run_folder import RunFolder

_METADATA = "metadata.json"


def shipped_folder() -> pathlib.Path:
    """Returns the folder of the presets that come with the library."""
    spec = importlib.util.find_spec("keras_fivo")
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError("The package keras_fivo is not installed.")
    return pathlib.Path(spec.submodule_search_locations[0], "presets/shipped")


def find_preset(text: str) -> pathlib.Path | None:
    """Returns the folder of a preset; `None` if the text names none.

    Args:
        text: Name of a shipped preset, path of a folder that holds one, or
            handle that begins with `"hf://"` or `"kaggle://"`.

    Raises:
        RecipeError: A hub does not have it, or its library is missing.
    """
    if "://" in text:
        choose_backend()
        with told_to_the_user():
            from keras_fivo import preset_folder

            return pathlib.Path(preset_folder(text))
    if "/" not in text and (shipped_folder() / text / _METADATA).is_file():
        return shipped_folder() / text
    folder = pathlib.Path(text).expanduser()
    return folder if text and (folder / _METADATA).is_file() else None


def class_of_preset(folder: pathlib.Path) -> str | None:
    """Returns the name of the class of a preset's model; `None` if unknown.

    Args:
        folder: Folder that may be one of a preset.
    """
    path = folder / _METADATA
    if not path.is_file():
        return None
    with told_to_the_user():
        metadata = read_json(path, "the metadata of a preset", {})
    name: str | None = metadata.get("class_name")
    return name


def record_of_preset(text: str) -> dict[str, Any]:
    """Returns the record of the run that a preset was made from.

    Args:
        text: As for `find_preset`.

    Raises:
        RecipeError: There is no such preset, or it has no record.
    """
    folder = find_preset(text)
    if folder is None:
        runs = shipped_folder().glob("*/run.json")
        known = sorted(path.parent.name for path in runs)
        raise RecipeError(
            f"A preset is the name of a shipped one, {', '.join(known)}, the "
            "folder of one, or a handle that begins with hf:// or kaggle://. "
            f"Received: preset={text!r}."
        )
    record: dict[str, Any] | None = RunFolder(folder).read_record()
    if record is None:
        raise RecipeError(
            "The preset does not say how it was trained: its folder has no "
            "run.json, which `python -m recipes preset` writes. "
            f"Received: preset={text!r}."
        )
    return record


def same_architecture(usual: Any, record: dict[str, Any]) -> Any:
    """Returns settings with the cell and the emission of a record.

    Args:
        usual: Settings of `fit` or `tune`.
        record: Of the run whose weights training is to begin with.
    """
    from recipes.settings import common

    trained = (
        common.DataSettings,
        common.BoundSettings,
        common.TrainingSettings,
        common.StoppingSettings,
        common.OutputSettings,
        common.SearchSettings,
    )
    free = {name for group in trained for name in group.model_fields}
    names = set(type(usual).model_fields) & set(record["settings"]) - free
    kept = {name: record["settings"][name] for name in names - {"preset"}}
    if "search" in dict(usual):
        # Sizes are those of the weights; a rate of dropout has none.
        fixed = set(kept) - {"dropout"}
        kept["search"] = [name for name in usual.search if name not in fixed]
    return usual.changed(**kept)
