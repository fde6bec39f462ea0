"""Observations and forecasts as arrays, with NaN for what is missing."""

from typing import Any

import numpy as np
from keras import ops

from keras_fivo.inputs import as_dict


def observed_values(observations: Any) -> np.ndarray:
    """Returns observations in float64 with NaN for what is missing.

    Args:
        observations: Array, NaN where missing; or a dict of it as
            `observations`, `(batch, time, ...)`, with, where there are any,
            `mask` `(batch, time[, ...])` and `lengths` `(batch,)`.

    Raises:
        ValueError: For lengths or a mask of another shape.
    """
    data = {k: as_array(x) for k, x in as_dict(observations).items()}
    values = data["observations"].astype("float64")
    shape = values.shape
    if "mask" in data:
        mask = data["mask"].astype(bool)
        if mask.shape not in (shape, shape[:2]):
            raise ValueError(
                f"`mask` must have the shape {shape[:2]} or {shape}. "
                f"Received: mask of shape {mask.shape}"
            )
        mask = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
        values = np.where(mask, values, np.nan)
    if "lengths" in data:
        if data["lengths"].shape != shape[:1]:
            raise ValueError(
                f"`lengths` must have the shape {shape[:1]}. "
                f"Received: lengths of shape {data['lengths'].shape}"
            )
        active = np.arange(shape[1]) < data["lengths"][:, None]
        values[~active] = np.nan
    return values


def samples_first(
    samples: Any, observed: np.ndarray, axis: int, num_least: int = 1
) -> np.ndarray:
    """Returns samples in float64, `(num_samples, *shape of observed)`.

    Args:
        samples: Array of the shape of `observed` with an axis more.
        observed: As from `observed_values`.
        axis: Where that axis is.
        num_least: How many samples are needed.

    Raises:
        ValueError: If the shapes do not fit, or there are too few samples.
    """
    found = as_array(samples).astype("float64")
    fits = found.ndim == observed.ndim + 1 and -found.ndim <= axis < found.ndim
    if fits:
        moved = np.moveaxis(found, axis, 0)
        if moved.shape[1:] == observed.shape and len(moved) >= num_least:
            return moved
    raise ValueError(
        f"`samples` must have the shape {observed.shape} of the observations, "
        f"and at `axis` one more, of at least {num_least} samples. "
        f"Received: samples of shape {found.shape}, axis={axis}"
    )


def as_array(x: Any) -> np.ndarray:
    """Returns a tensor of any backend, a list or an array as an array."""
    if isinstance(x, np.ndarray | list | tuple | float | int):
        return np.asarray(x)
    return np.asarray(ops.convert_to_numpy(x))
