"""Errors for what users pass, before anything runs."""

from typing import Any

import keras
import numpy as np

from keras_fivo.inputs import as_dict, axes_of


def as_arrays(data: Any) -> dict:
    """Returns a dict of NumPy arrays of one batch of inputs.

    Raises:
        TypeError: For a list of sequences, or what is no array of numbers.
    """
    if isinstance(data, list):
        raise TypeError(
            "Sequences must be one array (batch, time, features), or a dict "
            f"of such arrays. Received: a list of length {len(data)}. Use "
            "`keras_fivo.pad_sequences` to pad a list of sequences."
        )
    if not isinstance(data, dict) and not hasattr(data, "shape"):
        raise TypeError(
            "Observations must be one array (batch, time, features), or a dict "
            "of arrays; `adapt`, `fit`, `evaluate` and `predict` take data "
            "sets too. "
            f"Received: observations of type {type(data).__name__}"
        )
    arrays = {
        key: value
        if isinstance(value, np.ndarray)
        else keras.ops.convert_to_numpy(value)
        for key, value in as_dict(data).items()
    }
    for key, value in arrays.items():
        # Floats of 16 bits may be of a kind that NumPy does not know.
        if value.dtype.kind in "OSUMmc":
            raise TypeError(
                f"`{key}` must be an array of numbers: encode text, dates and "
                f"categories first. Received: {key} of dtype {value.dtype}"
            )
    return arrays


def check_inputs(
    data: Any, cell: Any, nan_is_missing: bool, static_dim: int = 0
) -> dict:
    """Checks one batch of inputs, and returns it as NumPy arrays.

    Args:
        data: What the user passed.
        cell: A `LatentCell`, built or not.
        nan_is_missing: Whether NaN stands for a missing entry.
        static_dim: How many of the cell's controls the model makes of what
            is static.

    Raises:
        ValueError: For a wrong rank or size, NaN or infinite observations,
            values outside the emission's support, impossible lengths.
    """
    arrays = as_arrays(data)
    check_shapes(arrays, cell, static_dim)
    check_values(arrays, cell, nan_is_missing)
    return arrays


def check_shapes(arrays: dict, cell: Any, static_dim: int = 0) -> None:
    """Checks the ranks and sizes of one batch.

    Args:
        arrays: Arrays or tensors.
        cell: A `LatentCell`, built or not.
        static_dim: As for `check_inputs`.

    Raises:
        ValueError: If they do not fit each other, or the cell.
    """
    shape = tuple(arrays["observations"].shape)
    rank = cell.observation_rank
    if len(shape) != 2 + rank:
        raise ValueError(
            f"Observations of {type(cell).__name__} must be an array (batch, "
            f"time, {axes_of(rank)}). Received: observations of shape {shape}"
        )
    if 0 in shape:
        raise ValueError(
            "Observations must hold at least one sequence of one step. "
            f"Received: observations of shape {shape}"
        )
    _check_size(shape, cell)
    _check_mask_and_lengths(arrays, shape)
    expected = cell.control_dim - static_dim if cell.built else None
    _check_controls(arrays.get("controls"), expected, shape)


def check_values(arrays: dict, cell: Any, nan_is_missing: bool) -> None:
    """Checks the values of one batch whose shapes are right.

    Args:
        arrays: NumPy arrays.
        cell: A `LatentCell`, built or not.
        nan_is_missing: Whether NaN stands for a missing entry.

    Raises:
        ValueError: For NaN or infinite observations, values outside the
            emission's support, impossible lengths.
    """
    observations = arrays["observations"]
    lengths, controls = arrays.get("lengths"), arrays.get("controls")
    steps = observations.shape[1]
    if lengths is not None and (
        lengths.min() < 0 or lengths.max() > steps or np.any(lengths % 1)
    ):
        raise ValueError(
            f"`lengths` must be integers between 0 and the number of steps, "
            f"{steps}. Received: lengths={lengths.tolist()}"
        )
    if controls is not None and not np.isfinite(controls).all():
        raise ValueError(
            "`controls` must be finite. Received: controls with "
            f"{int((~np.isfinite(controls)).sum())} NaN or infinite "
            "entries"
        )
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
        cell.emission.check_observed(observations, observed)


def _check_size(shape: tuple, cell: Any) -> None:
    if cell.built:
        if cell.observation_shape != shape[2:]:
            raise ValueError(
                "The model is for observations (batch, time, "
                f"{', '.join(map(str, cell.observation_shape))}). "
                f"Received: observations of shape {shape}"
            )
        return
    expected = cell.emission and cell.emission.event_dim
    if expected is not None and expected != shape[-1]:
        raise ValueError(
            f"The model is for observations with {expected} features. "
            f"Received: observations of shape {shape}"
        )


def _check_mask_and_lengths(arrays: dict, shape: tuple) -> None:
    mask, lengths = arrays.get("mask"), arrays.get("lengths")
    if mask is not None and tuple(mask.shape) not in (shape, shape[:2]):
        raise ValueError(
            f"`mask` must have the shape {shape[:2]} or {shape}. "
            f"Received: mask of shape {mask.shape}"
        )
    if lengths is None:
        return
    if tuple(lengths.shape) != shape[:1]:
        raise ValueError(
            f"`lengths` must have the shape {shape[:1]}. "
            f"Received: lengths of shape {lengths.shape}"
        )


def _check_controls(
    controls: np.ndarray | None, expected: int | None, shape: tuple
) -> None:
    if controls is None:
        if expected:
            raise ValueError(
                f"The model has {expected} exogenous inputs: inputs must be "
                "a dict with 'controls' (batch, time, size). "
                "Received: controls=None"
            )
        return
    if len(controls.shape) != 3 or tuple(controls.shape[:2]) != shape[:2]:
        raise ValueError(
            f"`controls` must have the shape {shape[:2]} and a size. "
            f"Received: controls of shape {controls.shape}"
        )
    if expected is not None and controls.shape[2] != expected:
        raise ValueError(
            f"The model was built for {expected} exogenous inputs. "
            f"Received: controls of shape {controls.shape}"
        )


def check_sample_weight(sample_weight: Any, arrays: dict) -> np.ndarray:
    """Returns one finite weight of 0 or more for each sequence.

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


def _observed(arrays: dict, shape: tuple) -> np.ndarray:
    observed = np.ones(shape, bool)
    if "mask" in arrays:
        observed &= _widened(arrays["mask"].astype(bool), shape)
    if "lengths" in arrays:
        active = np.arange(shape[1]) < arrays["lengths"][:, None]
        observed &= _widened(active, shape)
    return observed


def _widened(steps: np.ndarray, shape: tuple) -> np.ndarray:
    """Appends axes of size one, up to the rank of a shape."""
    return steps.reshape(steps.shape + (1,) * (len(shape) - steps.ndim))


def any_entry(observed: np.ndarray) -> np.ndarray:
    """Tells in which steps anything is observed, `(batch, time)`."""
    return np.any(observed, axis=tuple(range(2, observed.ndim)))


def observed_entries(
    arrays: dict, nan_is_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns observations, zero where missing, and where they are.

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
    """Returns the number of steps of each sequence, `(batch,)`.

    Args:
        arrays: As from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.
    """
    if "lengths" in arrays:
        return arrays["lengths"]
    _, observed = observed_entries(arrays, nan_is_missing)
    steps = np.arange(1, observed.shape[1] + 1)
    return (any_entry(observed) * steps).max(1)
