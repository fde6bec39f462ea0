"""What a series has throughout: an identifier, and features of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_fivo.axes import expand_rows, repeat_steps
from keras_fivo.inputs import STATIC_KEYS
from keras_fivo.types import Tensor


def static_dim(shapes: Mapping, embedding: Any) -> int:
    """Returns how many controls are made of what is static.

    Args:
        shapes: Shapes of the inputs by name.
        embedding: The model's `series_embedding`, or None.
    """
    size = 0 if embedding is None else int(embedding.output_dim)
    return size + int(shapes["static"][-1] if "static" in shapes else 0)


def shapes_for_cell(shapes: Mapping, embedding: Any) -> dict:
    """Returns the shapes of the inputs that the cell is given.

    Args:
        shapes: Shapes of the model's inputs by name.
        embedding: The model's `series_embedding`, or None.
    """
    found = {k: x for k, x in shapes.items() if k not in STATIC_KEYS}
    size = static_dim(shapes, embedding)
    if size:
        given = found["controls"][-1] if "controls" in found else 0
        found["controls"] = (None, None, int(given) + size)
    return found


def check_static(data: dict, embedding: Any, expected: int | None) -> None:
    """Checks identifiers, and features, of the series of one batch.

    Args:
        data: Inputs by name; what is no NumPy array is checked for its shape
            alone.
        embedding: The model's `series_embedding`, or None.
        expected: Number of static features that the model was built for;
            None: it is not built.

    Raises:
        ValueError: If they are missing, of a wrong shape, or cannot be.
    """
    batch = tuple(data["observations"].shape[:1])
    _check_series(data.get("series"), embedding, batch)
    static = data.get("static")
    if static is None:
        if expected:
            raise ValueError(
                f"The model has {expected} static features: inputs must be a "
                f"dict with 'static' (batch, {expected}). "
                "Received: static=None"
            )
        return
    shape = tuple(static.shape)
    if (
        len(shape) != 2
        or shape[:1] != batch
        or expected not in (None, shape[1])
    ):
        size = "features" if expected is None else expected
        raise ValueError(
            f"`static` must have the shape ({batch[0]}, {size}). "
            f"Received: static of shape {shape}"
        )
    if isinstance(static, np.ndarray) and not np.isfinite(static).all():
        raise ValueError(
            "`static` must be finite. Received: static with "
            f"{int((~np.isfinite(static)).sum())} NaN or infinite entries"
        )


def _check_series(series: Any, embedding: Any, batch: tuple) -> None:
    if (series is None) != (embedding is None):
        raise ValueError(
            "Inputs have 'series' (batch,), identifiers of their sequences, "
            "where the model has a `series_embedding`, and there alone. "
            f"Received: series={'None' if series is None else 'given'} for "
            f"series_embedding={embedding!r}"
        )
    if series is None:
        return
    if tuple(series.shape) != batch:
        raise ValueError(
            f"`series` must have the shape {batch}. "
            f"Received: series of shape {tuple(series.shape)}"
        )
    if not isinstance(series, np.ndarray):
        return
    count = embedding.input_dim
    whole = series.dtype.kind in "iu"
    if not whole or series.min() < -1 or series.max() >= count:
        odd = series if not whole else series[(series < -1) | (series >= count)]
        raise ValueError(
            f"`series` must be integers from 0 to {count - 1}, or -1 for a "
            "series that the model has not seen. "
            f"Received: series={odd[:8].tolist()} of dtype {series.dtype}"
        )


def static_rows(data: Any, embedding: Any) -> Tensor | None:
    """Returns what is static of each sequence, `(batch, ...)`; None: nothing.

    Args:
        data: Inputs of the model.
        embedding: The model's `series_embedding`, or None.
    """
    parts = []
    if isinstance(data, dict) and "series" in data:
        parts.append(_embedded(data["series"], embedding))
    if isinstance(data, dict) and "static" in data:
        parts.append(ops.cast(data["static"], "float32"))
    return ops.concatenate(parts, axis=-1) if parts else None


def _embedded(series: Tensor, embedding: Any) -> Tensor:
    """Returns the vector of each series; of unknown ones the mean of all."""
    index = ops.cast(series, "int32")
    vectors = ops.cast(embedding(ops.maximum(index, 0)), "float32")
    typical = ops.mean(ops.cast(embedding.embeddings, "float32"), axis=0)
    return ops.where(ops.expand_dims(index, -1) < 0, typical, vectors)


def static_as_controls(data: Any, embedding: Any) -> Any:
    """Returns inputs whose controls end in what is static, at every step.

    Args:
        data: Inputs of the model.
        embedding: The model's `series_embedding`, or None.
    """
    rows = static_rows(data, embedding)
    if rows is None:
        return data
    data = {name: x for name, x in data.items() if name not in STATIC_KEYS}
    batch, num_steps = ops.shape(data["observations"])[:2]
    # (batch, size) -> (batch, time, size)
    wide = (batch, num_steps, rows.shape[-1])
    wide = ops.broadcast_to(ops.expand_dims(rows, 1), wide)
    given = (
        [ops.cast(data["controls"], "float32")] if "controls" in data else []
    )
    return {**data, "controls": ops.concatenate([*given, wide], axis=-1)}


def static_to_come(
    controls: Tensor | None,
    data: Any,
    embedding: Any,
    num_steps: int,
    num_samples: int,
) -> Tensor | None:
    """Returns controls of steps to come with what is static of the past.

    Args:
        controls: `(time, batch * samples, controls)`, or None.
        data: Inputs of the past, or None.
        embedding: The model's `series_embedding`, or None.
        num_steps: Number of steps to come.
        num_samples: Number of samples of each sequence.
    """
    rows = static_rows(data, embedding)
    if rows is None:
        return controls
    wide = repeat_steps(expand_rows(rows, num_samples), num_steps)
    given = [] if controls is None else [controls]
    return ops.concatenate([*given, wide], axis=-1)
