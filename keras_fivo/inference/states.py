"""States and noise of a filter: in files, and checked."""

import json
import os
import tempfile
from typing import Any

import keras
import numpy as np

from keras_fivo.input_checks import as_arrays, lengths_of
from keras_fivo.smc import Never
from keras_fivo.types import Nested


def save_state(path: str, state: dict) -> None:
    """Writes the state of a filter to an `.npz` file.

    The file is whole or not there: it is written beside and then renamed.

    Args:
        path: File to write.
        state: The `state` of a `FilterResult`, or what `step` returns.
    """
    leaves: list = []
    structure = np.array(json.dumps(_outline(state, leaves)))
    arrays = {f"leaf_{i}": x for i, x in enumerate(leaves)}
    arrays["structure"] = structure
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


def _outline(tree: Nested, leaves: list) -> Any:
    """The tree with numbers in the place of leaves, which it collects."""
    if isinstance(tree, dict):
        return {"dict": {k: _outline(x, leaves) for k, x in tree.items()}}
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_outline(x, leaves) for x in tree]}
    leaves.append(keras.ops.convert_to_numpy(tree))
    return len(leaves) - 1


def _fill(outline: Any, file: Any) -> Nested:
    if isinstance(outline, int):
        return keras.ops.convert_to_tensor(file[f"leaf_{outline}"])
    if "dict" in outline:
        return {key: _fill(x, file) for key, x in outline["dict"].items()}
    if "tuple" in outline:
        return tuple(_fill(x, file) for x in outline["tuple"])
    return [_fill(x, file) for x in outline["list"]]


def check_state(state: Any, expected: dict[str, tuple]) -> None:
    """Refuses a state that a filter cannot go on from.

    Args:
        state: What the user passed.
        expected: Shapes of the state before the first step, by path.

    Raises:
        ValueError: If it is of another cell, batch or number of particles.
    """
    found = shapes(state)
    if found == expected:
        return
    name = next(
        name
        for name in (*expected, *found)
        if found.get(name) != expected.get(name)
    )
    raise ValueError(
        "`state` must come from the same model, with as many sequences and "
        f"particles: {name!r} of shape {expected.get(name)}. "
        f"Received: state with {name!r} of shape {found.get(name)}"
    )


def check_no_gap(state: dict, data: dict, nan_is_missing: bool) -> None:
    """Refuses to go on after steps that a mask left out.

    Args:
        state: The `state` of an earlier result.
        data: Inputs of the next steps; see `prepare_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.

    Raises:
        ValueError: If a sequence does: the steps were missing, or padding.
    """
    left_out = keras.ops.convert_to_numpy(state["left_out"])
    if not left_out.any():
        return
    lengths = lengths_of(as_arrays(data), nan_is_missing)
    if left_out[lengths > 0].any():
        raise ValueError(
            "`state` must have counted all steps of each sequence that goes "
            "on. Its mask alone does not tell whether the last ones were "
            "missing or padding, and they were left out. Pass `lengths`, the "
            "number of steps of each sequence, to the filter that gave the "
            f"state. Received: state with left_out={left_out.tolist()} steps"
        )


def check_noise(
    noise: Any, bound: Any, cell: Any, num_steps: int, batch: int
) -> None:
    """Refuses noise that is not as from `bound.draw`.

    Raises:
        ValueError: If something is missing, or has another shape.
    """
    found = shapes(noise)
    particles = bound.num_particles
    expected = {"latent": (batch, num_steps, particles, *cell.noise_shape)}
    if not isinstance(bound.criterion, Never):
        shape = bound.scheme.noise_shape(particles)
        expected["resampling"] = (batch, num_steps, *shape)
    for name, shape in expected.items():
        if found.get(name) != shape:
            raise ValueError(
                f"`noise` must be as from `bound.draw`: {name!r} of shape "
                f"{shape}. Received: {name!r} of shape {found.get(name)}"
            )


def shapes(tree: Nested) -> dict[str, tuple]:
    """Returns the shapes of the leaves by path."""
    return {
        "/".join(map(str, path)): tuple(keras.ops.shape(leaf))
        for path, leaf in keras.tree.flatten_with_path(tree)
    }
