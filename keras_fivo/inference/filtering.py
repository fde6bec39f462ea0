"""The filter over a batch as users pass it: whole, in parts, or streamed."""

from typing import Any

import numpy as np

from keras_fivo.bounds import Bound
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import STATIC_KEYS, as_dict, axes_of, prepare_inputs
from keras_fivo.noise import Noise
from keras_fivo.smc import FilterResult
from keras_fivo.types import SeedLike


def filter_sequences(
    cell: LatentCell,
    bound: Bound,
    data: Any,
    noise: dict | None = None,
    state: dict | None = None,
    seed: SeedLike = None,
    nan_is_missing: bool = False,
) -> FilterResult:
    """Runs the filter of a bound over a batch of sequences.

    Args:
        cell: Built `LatentCell`.
        bound: Says how many particles there are, and how they resample.
        data: Observations `(batch, time, ...)`, or a dict; see
            `prepare_inputs`.
        noise: Random numbers as from `bound.draw`; None: drawn.
        state: The `state` of an earlier result, to go on from there.
        seed: Seed, or seed generator, of the noise that is drawn.
        nan_is_missing: Whether NaN stands for a missing entry.
    """
    inputs = prepare_inputs(data, cell.center, nan_is_missing)
    given = None if noise is None else Noise.from_arrays(noise)
    return bound.run(cell, inputs, given, state, seed=seed)


def can_stream(cell: LatentCell) -> None:
    """Refuses cells that need later observations.

    Raises:
        ValueError: If the proposal or a twist looks at them.
    """
    if cell.twist is not None:
        raise ValueError(
            "A twist looks at later observations: a cell that has one "
            f"cannot stream. Received: twist={cell.twist!r}. Filter "
            "the whole sequence, or make the cell without a twist."
        )
    if cell.proposal.sees_future:
        raise ValueError(
            "A proposal that sees later observations cannot stream. "
            f"Received: proposal={cell.proposal!r}. Filter the "
            "whole sequence, or train with a filtering proposal."
        )


def one_step(observation: Any, rank: int) -> dict:
    """Returns one observation of each sequence as sequences of one step.

    Args:
        observation: `(batch, ...)`, or a dict of it as `observations` with
            the others that a model takes, which have no axis of time.
        rank: Number of axes of one observation.

    Raises:
        ValueError: If observations have another number of axes.
    """
    data = {}
    for key, value in as_dict(observation).items():
        # NumPy stays NumPy, so that values can be checked before they move.
        array = value if hasattr(value, "shape") else np.asarray(value)
        if key == "observations" and len(array.shape) != 1 + rank:
            raise ValueError(
                "A step takes one observation of each sequence, an array "
                f"(batch, {axes_of(rank)}) without an axis of time. "
                f"Received: observation of shape {tuple(array.shape)}"
            )
        timeless = key in ("lengths", *STATIC_KEYS)
        data[key] = array if timeless else array[:, None]
    if "lengths" not in data:
        data["lengths"] = np.ones(data["observations"].shape[:1], "int32")
    return data
