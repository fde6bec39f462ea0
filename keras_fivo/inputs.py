"""One form for what users pass: observations, masks, lengths, controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_fivo.axes import any_entry, like_rows, time_first, zero_beyond
from keras_fivo.types import Tensor

KEYS = ("observations", "mask", "lengths", "controls")
STATIC_KEYS = ("series", "static")
"""What has no axis of time; a model makes controls of it."""


def pad_sequences(
    sequences: Sequence[Any],
    controls: Sequence[Any] | None = None,
    length: int | None = None,
) -> dict:
    """Pads sequences of different lengths to one array.

    Args:
        sequences: Arrays `(time, features)`, or `(time,)` for one feature, or
            frames `(time, height, width, channels)`.
        controls: Exogenous inputs of each sequence, `(time, controls)`.
        length: Number of steps to pad to; the longest by default.

    Returns:
        A dict of `observations`, float32 `(batch, time, ...)`, zero beyond
        each sequence, `mask`, bool `(batch, time)`, `lengths`, int32
        `(batch,)`, and `controls` where they were given: what the model's
        methods take.

    Raises:
        ValueError: If there is no sequence, or their sizes do not fit.
    """
    arrays = [_with_features(x) for x in sequences]
    if not arrays:
        raise ValueError(
            "`sequences` must hold at least one sequence. "
            f"Received: sequences={sequences!r}"
        )
    longest = max(len(x) for x in arrays)
    length = longest if length is None else int(length)
    if longest > length:
        raise ValueError(
            "`length` must be at least that of the longest sequence, "
            f"{longest}. Received: length={length}"
        )
    padded = {
        "observations": _stack(arrays, length, "sequences"),
        "mask": np.arange(length) < np.array([[len(x)] for x in arrays]),
        "lengths": np.array([len(x) for x in arrays], "int32"),
    }
    if controls is not None:
        extra = [_with_features(x, "controls") for x in controls]
        if [len(x) for x in extra] != [len(x) for x in arrays]:
            raise ValueError(
                "`controls` must have one array for each sequence, of its "
                f"length. Received: lengths {[len(x) for x in extra]} for "
                f"sequences of lengths {[len(x) for x in arrays]}"
            )
        padded["controls"] = _stack(extra, length, "controls")
    return padded


def _with_features(array: Any, name: str = "sequences") -> np.ndarray:
    """Returns an array `(time, ...)` of one feature at least."""
    array = np.asarray(array, "float32")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim < 2 or (array.ndim > 2 and name == "controls"):
        raise ValueError(
            f"`{name}` must be arrays (time, features). "
            f"Received: an array of shape {array.shape}"
        )
    return array


def _stack(arrays: list, length: int, name: str) -> np.ndarray:
    shapes = {x.shape[1:] for x in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"`{name}` must all have the same features, or frames of one size. "
            f"Received: steps of shapes {sorted(shapes)}"
        )
    padded = np.zeros((len(arrays), length, *shapes.pop()), "float32")
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def axes_of(rank: int) -> str:
    """Returns what the axes of an observation are called, for errors."""
    return "features" if rank == 1 else "height, width, channels"


def as_dict(data: Any) -> dict:
    """Returns an array or a dict of arrays as a dict.

    Raises:
        ValueError: For keys that are not known.
    """
    if not isinstance(data, dict):
        return {"observations": data}
    unknown = sorted(set(data) - {*KEYS, *STATIC_KEYS})
    if unknown or "observations" not in data:
        raise ValueError(
            "A dict of inputs must have 'observations' and may have 'mask', "
            "'lengths', 'controls', 'series' and 'static'. "
            f"Received: keys {sorted(data)}"
        )
    return {key: value for key, value in data.items() if value is not None}


def prepare_inputs(
    data: Any, center: Tensor, nan_is_missing: bool = False
) -> dict:
    """Brings inputs to the form that cells read; runs inside the step.

    Args:
        data: Array `(batch, time, ..., features)`, or a dict of it as
            `observations` with, where there are any, `mask`, `(batch, time)`
            or of the shape of the observations, True = observed; `lengths`,
            `(batch,)`; `controls`, `(batch, time, controls)`.
        center: `(features,)`; takes the place of what is missing.
        nan_is_missing: Whether NaN stands for a missing entry.

    Returns:
        A dict, time first: `observations`, float32 `(time, batch, ...,
        features)`; `observed`, bool `(time, batch[, ..., features])`, which
        entries count in the emission; `active`, bool `(time, batch)`, up to
        the length; `controls`, where given; and where a mask alone, or NaN,
        tells the length, `left_out`, int32 `(batch,)`, the steps after it.
    """
    data = as_dict(data)
    static = [name for name in STATIC_KEYS if name in data]
    if static:
        raise ValueError(
            "A cell takes what is static as `controls`, of which a "
            "`LatentSequenceModel` makes them: use its methods. "
            f"Received: inputs with {static}"
        )
    observations = time_first(ops.cast(data["observations"], "float32"))
    observed = data.get("mask")
    if observed is not None:
        observed = time_first(ops.cast(observed, "bool"))
    if nan_is_missing:
        present = ops.logical_not(ops.isnan(observations))
        if observed is not None:
            observed = present & like_rows(observed, observations)
        else:
            observed = present
    active = _active(observations, observed, data.get("lengths"))
    prepared = {"active": active}
    if observed is not None and "lengths" not in data:
        unseen = ops.cast(ops.logical_not(active), "int32")
        prepared["left_out"] = ops.sum(unseen, axis=0)
    if observed is None:
        observed = active
    else:
        observed = observed & like_rows(active, observed)
    prepared["observations"] = fill_missing(observations, observed, center)
    prepared["observed"] = observed
    if "controls" in data:
        controls = time_first(ops.cast(data["controls"], "float32"))
        prepared["controls"] = zero_beyond(active, controls)
    return prepared


def fill_missing(observations: Tensor, observed: Tensor, center: Any) -> Tensor:
    """Puts the centre in the place of what is missing.

    Args:
        observations: `(..., features)`.
        observed: Bool, of the shape of the observations or of their first
            axes.
        center: `(features,)`.
    """
    observed = like_rows(observed, observations)
    return ops.where(observed, observations, ops.convert_to_tensor(center))


def _active(
    observations: Tensor, observed: Tensor | None, lengths: Tensor | None
) -> Tensor:
    """Tells which steps count: up to the length, or the last observed."""
    num_steps = ops.shape(observations)[0]
    steps = ops.expand_dims(ops.arange(num_steps, dtype="int32"), -1)
    if lengths is not None:
        return steps < ops.expand_dims(ops.cast(lengths, "int32"), 0)
    if observed is None:
        return ops.ones(ops.shape(observations)[:2], dtype="bool")
    # (time, batch, ...) -> (time, batch)
    seen = any_entry(observed, num_leading=2)
    last = ops.max(ops.where(seen, steps + 1, 0), axis=0)
    return steps < ops.expand_dims(last, 0)
