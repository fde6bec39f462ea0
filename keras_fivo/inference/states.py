"""States of a filter: in files, and checked."""

import contextlib
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_fivo.arrays import load_arrays
from keras_fivo.cells import LatentCell
from keras_fivo.input_checks import as_arrays, lengths_of
from keras_fivo.networks import check_steps
from keras_fivo.types import Nested

_MAX_OUTLINE = 2**20  # characters


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
    content = io.BytesIO()
    np.savez(content, **arrays)
    folder, name = os.path.split(os.path.abspath(path))
    # The same name each time: what a kill leaves behind is overwritten.
    temporary = os.path.join(folder, f".partial-{name}")
    try:
        with open(temporary, "wb") as file:
            file.write(content.getbuffer())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def load_state(path: str) -> dict:
    """Reads the state of a filter, on any backend.

    Args:
        path: File that `save_state` wrote.

    Raises:
        ValueError: If the file is damaged, or does not hold a state.
        OSError: If the file cannot be opened.
    """
    arrays = load_arrays(path)
    try:
        text = str(arrays["structure"])
        if len(text) > _MAX_OUTLINE:
            raise MemoryError(f"a structure of {len(text)} characters")
        outline = json.loads(text)
        leaves = iter(range(len(arrays) - 1))
        state = _fill(outline, arrays, leaves)
        if not isinstance(state, dict) or next(leaves, None) is not None:
            raise TypeError("the structure is not of all arrays in the file")
    # What is nested wrongly, or too deep, raises all kinds of errors.
    except Exception as error:
        raise ValueError(
            "The file must be one that `save_state` wrote; save the state "
            f"again ({type(error).__name__}: {str(error)[:200]}). "
            f"Received: path={path!r} with entries {sorted(arrays)[:8]}"
        ) from error
    if "step" in state and "left_out" not in state:
        # Files of the first version do not have it: nothing was left out.
        state["left_out"] = keras.ops.zeros_like(state["step"])
    return state


def _outline(tree: Nested, leaves: list) -> Any:
    """Puts numbers in the place of a tree's leaves, which it collects."""
    if isinstance(tree, dict):
        return {"dict": {k: _outline(x, leaves) for k, x in tree.items()}}
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_outline(x, leaves) for x in tree]}
    leaf = keras.ops.convert_to_numpy(tree)
    leaves.append(leaf)
    if leaf.dtype.name != "bfloat16":
        return len(leaves) - 1
    # NumPy's format has no name for it; float32 holds it exactly.
    leaves[-1] = leaf.astype("float32")
    return {"bfloat16": len(leaves) - 1}


def _fill(outline: Any, arrays: dict, leaves: Iterator[int]) -> Nested:
    """Rebuilds the tree of an outline; each leaf is there once, in order."""
    if isinstance(outline, int):
        if outline != next(leaves):
            raise ValueError(f"leaf {outline} in the place of another")
        return keras.ops.convert_to_tensor(arrays[f"leaf_{outline}"])
    ((kind, parts),) = outline.items()
    if kind == "bfloat16":
        return keras.ops.cast(_fill(parts, arrays, leaves), kind)
    if kind == "dict":
        return {k: _fill(part, arrays, leaves) for k, part in parts.items()}
    filled = [_fill(part, arrays, leaves) for part in parts]
    return {"list": filled, "tuple": tuple(filled)}[kind]


def check_state(state: Any, expected: dict) -> None:
    """Refuses a state that a filter cannot go on from.

    Args:
        state: What the user passed.
        expected: As from `forms`, of the state before the first step.

    Raises:
        ValueError: If it is of another cell, batch or number of particles.
    """
    found = forms(state)
    if found == expected:
        return
    name = next(
        name
        for name in (*expected, *found)
        if found.get(name) != expected.get(name)
    )
    raise ValueError(
        "`state` must come from the same model, with as many sequences and "
        f"particles: {name!r} {_told(expected.get(name))}. "
        f"Received: state with {name!r} {_told(found.get(name))}"
    )


def check_continuation(
    cell: LatentCell,
    state: dict,
    data: dict,
    nan_is_missing: bool,
    counted: bool = False,
) -> None:
    """Refuses steps that cannot follow those of a state.

    Args:
        cell: Whose proposal and twist may have weights of each step's own.
        state: The `state` of an earlier result.
        data: Inputs of the next steps; see `prepare_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.
        counted: Whether no steps are known to have been left out.

    Raises:
        ValueError: If a mask left out steps of a sequence that goes on, which
            were missing, or padding; or if there are weights for fewer steps.
    """
    parts = [x for x in (cell.proposal, cell.twist) if x is not None]
    limits = [x.max_steps for x in parts if x.max_steps is not None]
    if counted and not limits:
        return
    left_out = keras.ops.convert_to_numpy(state["left_out"])
    if not left_out.any() and not limits:
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
    for limit in limits:
        steps = keras.ops.convert_to_numpy(state["step"]) + lengths
        check_steps(int(steps.max()), limit)


def forms(tree: Nested) -> dict[str, tuple[tuple, str]]:
    """Returns the shape and the dtype of each leaf by path."""
    return {
        "/".join(map(str, path)): (
            tuple(keras.ops.shape(leaf)),
            keras.backend.standardize_dtype(leaf.dtype),
        )
        for path, leaf in keras.tree.flatten_with_path(tree)
    }


def _told(form: tuple[tuple, str] | None) -> str:
    return "absent" if form is None else f"of shape {form[0]} and {form[1]}"
