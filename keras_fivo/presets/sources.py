"""Where presets come from: the library, a folder, or a hub."""

import hashlib
import importlib
import json
import pathlib
from typing import Any

SHIPPED = pathlib.Path(__file__).parent / "shipped"
CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
CARD = "README.md"
EVALUATION = "evaluation-test.json"

# Prefix of a handle: the library that fetches it, its function, the extra.
_HUBS = {
    "hf://": ("huggingface_hub", "snapshot_download"),
    "kaggle://": ("kagglehub", "model_download"),
}


def builtin_presets(class_name: str) -> dict[str, dict]:
    """Returns the metadata of the shipped presets of a class, by name.

    Each has the `description` of its card, and in `bounds` what the weights
    reach on the test split where that was scored, in nats per step.

    Args:
        class_name: Name of the model's class, as in `"LatentSequenceModel"`.
    """
    found = {}
    for folder in sorted(SHIPPED.glob("*/")):
        metadata = json.loads((folder / METADATA).read_text("utf-8"))
        if metadata["class_name"] != class_name:
            continue
        found[folder.name] = metadata
        # A header between two lines, a title, and then the description.
        card = (folder / CARD).read_text("utf-8")
        paragraphs = card.partition("\n# ")[2].split("\n\n")
        metadata["description"] = paragraphs[1].replace("\n", " ")
        if (folder / EVALUATION).is_file():
            rows = json.loads((folder / EVALUATION).read_text("utf-8"))
            metadata["bounds"] = {
                name: row["bound_per_step"]
                for name, row in rows["bounds"].items()
            }
    return found


def preset_folder(
    preset: Any, class_name: str = "LatentSequenceModel"
) -> pathlib.Path:
    """Returns the folder of a preset, which it fetches if need be.

    Args:
        preset: Name of a shipped preset, path of a folder, or handle that
            begins with `"hf://"` or `"kaggle://"`.
        class_name: Name of the class whose presets an error lists. Default:
            `"LatentSequenceModel"`.

    Raises:
        ValueError: If there is no such preset, or it was changed.
        ImportError: If the library that fetches it is not installed.
    """
    text = str(preset)
    for prefix, (library, function) in _HUBS.items():
        if text.startswith(prefix):
            return _fetch(text, prefix, library, function)
    if "/" not in text and (SHIPPED / text).is_dir():
        return checked(SHIPPED / text)
    folder = pathlib.Path(text).expanduser()
    if not folder.is_dir():
        raise ValueError(
            "A preset must be the name of a shipped one, "
            f"{sorted(builtin_presets(class_name))}, the path of a folder "
            "that `save_to_preset` wrote, or a handle that begins with "
            f"{' or '.join(map(repr, _HUBS))}. Received: {preset!r}"
        )
    return checked(folder)


def _fetch(
    handle: str, prefix: str, library: str, function: str
) -> pathlib.Path:
    try:
        hub = importlib.import_module(library)
    except ImportError as error:
        raise ImportError(
            f"Presets with the prefix {prefix!r} are fetched by {library}, "
            "which is not installed. Install it with "
            f"`pip install {library}`. Received: {handle!r}"
        ) from error
    return checked(pathlib.Path(getattr(hub, function)(handle[len(prefix) :])))


def checked(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder if its files are those that its metadata names.

    Raises:
        ValueError: If a file is missing, cannot be read or was changed.
    """
    metadata = read_json(folder / METADATA)
    hashes = metadata.get("sha256")
    if not isinstance(hashes, dict) or not {CONFIG, WEIGHTS} <= hashes.keys():
        raise ValueError(
            f"{folder / METADATA} must have the hashes of {CONFIG!r} and "
            f"{WEIGHTS!r} under 'sha256'. Received: sha256={hashes!r}"
        )
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        found = digest(path) if path.is_file() else None
        if found != hashes[name]:
            raise ValueError(
                f"{path} must be the file that the preset was saved with, "
                f"of SHA-256 {hashes[name]!r}. Received: {found!r}. Save or "
                "fetch the preset again."
            )
    return folder


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: pathlib.Path) -> dict:
    """Returns the dict that a JSON file holds.

    Raises:
        ValueError: If the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must be a JSON file. Received: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold a JSON object. "
            f"Received: {type(content).__name__}"
        )
    return content
