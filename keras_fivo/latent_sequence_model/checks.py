"""Errors for what users pass, before anything runs."""

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_fivo.inputs import as_dict


def as_arrays(data: Any) -> dict:
    """A dict of NumPy arrays of one batch of inputs.

    Raises:
        TypeError: For a list of sequences.
    """
    if isinstance(data, list):
        raise TypeError(
            "Sequences must be one array (batch, time, features), or a dict "
            f"of such arrays. Received: a list of length {len(data)}. Use "
            "`keras_fivo.pad_sequences` to pad a list of sequences."
        )
    return {
        key: keras.ops.convert_to_numpy(value)
        for key, value in as_dict(data).items()
    }


def check_inputs(
    data: Any, cell: Any, nan_is_missing: bool, fresh: bool = True
) -> dict:
    """Checks one batch of inputs by value.

    Args:
        data: What the user passed.
        cell: A `LatentCell`, built or not.
        nan_is_missing: Whether NaN stands for a missing entry.
        fresh: Whether an empty batch is an error.

    Returns:
        The inputs as NumPy arrays.

    Raises:
        ValueError: For a wrong rank or size, NaN or infinite observations,
            values outside the emission's support, impossible lengths.
    """
    arrays = as_arrays(data)
    observations = arrays["observations"]
    if observations.ndim != 3:
        raise ValueError(
            "Observations must be an array (batch, time, features). "
            f"Received: observations of shape {observations.shape}"
        )
    if fresh and 0 in observations.shape:
        raise ValueError(
            "Observations must hold at least one sequence of one step. "
            f"Received: observations of shape {observations.shape}"
        )
    _check_size(observations, cell)
    _check_companions(arrays, observations.shape)
    observed = _observed(arrays, observations.shape)
    if nan_is_missing:
        observed = observed & ~np.isnan(observations)
    seen = observations[observed]
    if not np.isfinite(seen).all():
        bad = np.argwhere(observed & ~np.isfinite(observations))[0]
        raise ValueError(
            "Observed entries must be finite. Received: "
            f"observations[{', '.join(map(str, bad))}]="
            f"{observations[tuple(bad)]}. Mark missing entries with a "
            "`mask`, or pass `nan_is_missing=True` to the model."
        )
    if cell.emission is not None:
        cell.emission.check(seen)
    return arrays


def _check_size(observations: np.ndarray, cell: Any) -> None:
    features = observations.shape[-1]
    expected = cell.observation_dim if cell.built else None
    if expected is None and cell.emission is not None:
        expected = cell.emission.event_dim
    if expected is not None and expected != features:
        raise ValueError(
            f"The model is for observations with {expected} features. "
            f"Received: observations of shape {observations.shape}"
        )


def _check_companions(arrays: dict, shape: tuple) -> None:
    mask, lengths = arrays.get("mask"), arrays.get("lengths")
    if mask is not None and mask.shape not in (shape, shape[:2]):
        raise ValueError(
            f"`mask` must have the shape {shape[:2]} or {shape}. "
            f"Received: mask of shape {mask.shape}"
        )
    controls = arrays.get("controls")
    if controls is not None:
        if controls.ndim != 3 or controls.shape[:2] != shape[:2]:
            raise ValueError(
                f"`controls` must have the shape {shape[:2]} and a size. "
                f"Received: controls of shape {controls.shape}"
            )
        if not np.isfinite(controls).all():
            raise ValueError(
                "`controls` must be finite. Received: controls with "
                f"{int((~np.isfinite(controls)).sum())} NaN or infinite "
                "entries"
            )
    if lengths is None:
        return
    if lengths.shape != shape[:1]:
        raise ValueError(
            f"`lengths` must have the shape {shape[:1]}. "
            f"Received: lengths of shape {lengths.shape}"
        )
    if lengths.size and (lengths.min() < 0 or lengths.max() > shape[1]):
        raise ValueError(
            f"`lengths` must lie between 0 and the number of steps, "
            f"{shape[1]}. Received: lengths={lengths.tolist()}"
        )


def _observed(arrays: dict, shape: tuple) -> np.ndarray:
    observed = np.ones(shape, bool)
    if "mask" in arrays:
        mask = arrays["mask"].astype(bool)
        observed &= mask if mask.ndim == 3 else mask[..., None]
    if "lengths" in arrays:
        active = np.arange(shape[1]) < arrays["lengths"][:, None]
        observed &= active[..., None]
    return observed


def observed_entries(
    arrays: dict, nan_is_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Observations with zeros for what is missing, and where they are.

    Args:
        arrays: As from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.
    """
    values = arrays["observations"].astype("float64")
    observed = _observed(arrays, values.shape)
    if nan_is_missing:
        observed &= ~np.isnan(values)
    return np.where(observed, values, 0.0), observed


def is_batch(data: Any) -> bool:
    """Whether data are arrays in memory, rather than an iterable of them."""
    if isinstance(data, dict | list | np.ndarray):
        return True
    return hasattr(data, "shape") and hasattr(data, "dtype")


def batches(data: Any) -> Iterator:
    """The inputs of each batch of a data set that can be read again."""
    if is_batch(data):
        yield data
        return
    items: Any = data
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        items = (data[i] for i in range(count))
    for item in items:
        yield inputs_of(item)


def first_batch(data: Any) -> tuple[Any, Any]:
    """The first batch, and the data with nothing taken from them.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(data, Iterator):
        head = next(data, None)
        rest = data if head is None else itertools.chain([head], data)
        first = None if head is None else inputs_of(head)
    else:
        first, rest = next(batches(data), None), data
    if first is None:
        raise ValueError(
            "The data hold no batch. "
            f"Received: {type(data).__name__} that yields nothing"
        )
    return first, rest


def inputs_of(item: Any) -> Any:
    """The inputs of a batch; targets are refused.

    Raises:
        ValueError: For targets: sequences are their own.
    """
    if isinstance(item, list) and len(item) == 1:
        item = tuple(item)
    x, y, _ = keras.utils.unpack_x_y_sample_weight(item)
    if y is not None:
        raise ValueError(
            "A latent sequence model has no targets: sequences are all that "
            f"it is given. Received: y of type {type(y).__name__}. Yield "
            "inputs alone, or (inputs, None, sample_weight)."
        )
    return x
