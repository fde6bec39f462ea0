"""States of a filter, in files."""

import json
import os
import tempfile
from typing import Any

import keras
import numpy as np

from keras_fivo.types import Nested


def save_state(path: str, state: dict) -> None:
    """Writes the state of a filter to an `.npz` file.

    The file is whole or not there: it is written beside and then renamed.

    Args:
        path: File to write.
        state: The `state` of a `FilterResult`, or what `step` returns.
    """
    leaves = [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(state)]
    arrays = {f"leaf_{i}": x for i, x in enumerate(leaves)}
    arrays["structure"] = np.array(
        json.dumps(_outline(state, iter(range(len(leaves)))))
    )
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_state(path: str) -> dict:
    """Reads the state of a filter, on any backend.

    Raises:
        ValueError: If the file does not hold a state.
    """
    with np.load(path, allow_pickle=False) as file:
        if "structure" not in file.files:
            raise ValueError(
                "The file must be one that `save_state` wrote. "
                f"Received: path={path!r} with entries {file.files}"
            )
        outline = json.loads(str(file["structure"]))
        return _fill(outline, file)


def _outline(tree: Nested, numbers: Any) -> Any:
    """The tree with a leaf's number in its place, in the order of flatten."""
    if isinstance(tree, dict):
        found = {key: _outline(tree[key], numbers) for key in sorted(tree)}
        return {"dict": found}
    if isinstance(tree, list | tuple):
        return {"list": [_outline(x, numbers) for x in tree]}
    return next(numbers)


def _fill(outline: Any, file: Any) -> Nested:
    if isinstance(outline, int):
        return keras.ops.convert_to_tensor(file[f"leaf_{outline}"])
    if "dict" in outline:
        return {key: _fill(x, file) for key, x in outline["dict"].items()}
    return [_fill(x, file) for x in outline["list"]]
