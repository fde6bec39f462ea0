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


def check_inputs(data: Any, cell: Any, nan_is_missing: bool) -> dict:
    """Checks one batch of inputs by value.

    Args:
        data: What the user passed.
        cell: A `LatentCell`, built or not.
        nan_is_missing: Whether NaN stands for a missing entry.

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
    if 0 in observations.shape:
        raise ValueError(
            "Observations must hold at least one sequence of one step. "
            f"Received: observations of shape {observations.shape}"
        )
    _check_size(observations, cell)
    _check_mask_and_lengths(arrays, observations.shape)
    _check_controls(arrays.get("controls"), cell, observations.shape)
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


def _check_mask_and_lengths(arrays: dict, shape: tuple) -> None:
    mask, lengths = arrays.get("mask"), arrays.get("lengths")
    if mask is not None and mask.shape not in (shape, shape[:2]):
        raise ValueError(
            f"`mask` must have the shape {shape[:2]} or {shape}. "
            f"Received: mask of shape {mask.shape}"
        )
    if lengths is None:
        return
    if lengths.shape != shape[:1]:
        raise ValueError(
            f"`lengths` must have the shape {shape[:1]}. "
            f"Received: lengths of shape {lengths.shape}"
        )
    if lengths.min() < 0 or lengths.max() > shape[1]:
        raise ValueError(
            f"`lengths` must lie between 0 and the number of steps, "
            f"{shape[1]}. Received: lengths={lengths.tolist()}"
        )


def _check_controls(
    controls: np.ndarray | None, cell: Any, shape: tuple
) -> None:
    expected = cell.control_dim if cell.built else None
    if controls is None:
        if expected:
            raise ValueError(
                f"The model has {expected} exogenous inputs: inputs must be "
                "a dict with 'controls' (batch, time, size). "
                "Received: controls=None"
            )
        return
    if controls.ndim != 3 or controls.shape[:2] != shape[:2]:
        raise ValueError(
            f"`controls` must have the shape {shape[:2]} and a size. "
            f"Received: controls of shape {controls.shape}"
        )
    if expected is not None and controls.shape[2] != expected:
        raise ValueError(
            f"The model was built for {expected} exogenous inputs. "
            f"Received: controls of shape {controls.shape}"
        )
    if not np.isfinite(controls).all():
        raise ValueError(
            "`controls` must be finite. Received: controls with "
            f"{int((~np.isfinite(controls)).sum())} NaN or infinite "
            "entries"
        )


def check_sample_weight(sample_weight: Any, arrays: dict) -> np.ndarray:
    """One finite weight of 0 or more for each sequence.

    Raises:
        ValueError: If they are not.
    """
    weights = keras.ops.convert_to_numpy(sample_weight)
    shape = arrays["observations"].shape[:1]
    if weights.shape != shape:
        raise ValueError(
            f"`sample_weight` must have the shape {shape}. "
            f"Received: sample_weight of shape {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            "`sample_weight` must be finite and not negative. "
            f"Received: sample_weight={weights.tolist()}"
        )
    return weights.astype("float32")


def check_count(name: str, value: Any) -> int:
    """A number of things: an integer of 1 or more.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(value, bool) or not (
        isinstance(value, int | np.integer) and value >= 1
    ):
        raise ValueError(
            f"`{name}` must be an integer of 1 or more. "
            f"Received: {name}={value!r}"
        )
    return int(value)


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


def lengths_of(arrays: dict, nan_is_missing: bool) -> np.ndarray:
    """The number of steps of each sequence, `(batch,)`; see `prepare_inputs`.

    Args:
        arrays: As from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.
    """
    if "lengths" in arrays:
        return arrays["lengths"]
    _, observed = observed_entries(arrays, nan_is_missing)
    steps = np.arange(1, observed.shape[1] + 1)
    return (observed.any(-1) * steps).max(1)


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
    for item in _items(data):
        yield inputs_of(item)


def _items(data: Any) -> Iterator:
    """What a data set yields in one epoch."""
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in range(data.num_batches))
    return iter(data)


def first_batch(data: Any) -> tuple[Any, Any]:
    """The first batch, and the data with nothing taken from them.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(data, Iterator):
        first = next(data, None)
        rest = data if first is None else _put_back(first, data)
    else:
        first, rest = next(_items(data), None), data
    if first is None:
        raise ValueError(
            "The data hold no batch. "
            f"Received: {type(data).__name__} that yields nothing"
        )
    inputs = inputs_of(first)
    if isinstance(first, list | tuple) and len(first) > 1:
        raise ValueError(
            "A data set must yield inputs or (inputs,), with weights as the "
            "'sample_weight' of a dict of inputs: TensorFlow takes no None. "
            f"Received: a tuple of length {len(first)}"
        )
    return inputs, rest


def _put_back(head: Any, rest: Iterator) -> Iterator:
    """A generator of tuples, which is what Keras takes."""
    for item in itertools.chain([head], rest):
        yield item if isinstance(item, tuple) else (item,)


def inputs_of(item: Any) -> Any:
    """The inputs of a batch; see `inputs_and_weights`."""
    return inputs_and_weights(item)[0]


def inputs_and_weights(item: Any) -> tuple[Any, Any]:
    """The inputs of a batch and the weights of its sequences, or None.

    Raises:
        ValueError: For targets: sequences are their own.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(item)
    refuse_targets(y)
    if isinstance(x, dict) and "sample_weight" in x:
        x = dict(x)
        weights = x.pop("sample_weight")
    return x, weights


def refuse_targets(y: Any) -> None:
    """Sequences are their own targets.

    Raises:
        ValueError: If there are others.
    """
    if y is not None:
        raise ValueError(
            "A latent sequence model has no targets: sequences are all that "
            f"it is given. Received: y of type {type(y).__name__}"
        )


def refuse_losses(compile_config: dict | None) -> None:
    """A loss or metrics given to `compile` would go unused.

    Raises:
        ValueError: If there are any.
    """
    for name in ("loss", "metrics", "weighted_metrics"):
        value = (compile_config or {}).get(name)
        if value is not None:
            raise ValueError(
                f"`compile` must not get `{name}`: the bound is the loss, "
                "and the filter has its own metrics. "
                f"Received: {name}={value!r}"
            )
