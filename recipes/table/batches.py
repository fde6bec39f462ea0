"""Rows of the ensemble in batches of one length."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_fivo import structural

# Numbers that the covariances of a batch may have: 256 MiB of float32.
_BUDGET = 2**26
# And those of one step, where steps are compiled: what a processor's cache
# holds of them several times. A step of 16 rows takes a fifth as long a row as
# one of 256.
_CACHED = 2**12
_GROWTH = 1.6


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some rows, padded.

    Attributes:
        rows: Numbers of the rows, `(rows,)`, without those that fill up.
        inputs: What `StructuralForecaster` takes of them.
        ends: Number of steps that each row may see, `(rows,)`.
    """

    rows: np.ndarray
    inputs: dict
    ends: np.ndarray

    def evidence(self, model):
        """Returns the log evidence of what rows may see, `(rows,)`, in nats."""
        increments, _ = model.filter(self.inputs)
        found = np.asarray(ops.convert_to_numpy(increments), "float64")
        return found.sum(axis=1)[: len(self.rows)]


def batches_of(model, panel, ends, batch_size):
    """Yields the rows of a model, those of like lengths together.

    Args:
        model: `StructuralForecaster`.
        panel: `Panel` with its series.
        ends: Number of steps of each series that may be seen.
        batch_size: Largest number of rows of a batch.
    """
    series = model.series_of_rows
    transformations = model.transformations_of_rows
    # By all of a series, so that fitting and forecasting compile for the same.
    lengths = [_padded(len(one.values)) for one in panel.series]
    lengths = np.array([lengths[number] for number in series])
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        size = min(
            batch_size, _most(model, int(length)), 8 * math.ceil(len(rows) / 8)
        )
        for start in range(0, len(rows), size):
            own = rows[start : start + size]
            parts = [
                (
                    panel.series[series[row]],
                    ends[series[row]],
                    transformations[row],
                )
                for row in own
            ]
            inputs = _inputs(model, own, parts, int(length), size)
            yield Batch(own, inputs, np.array([end for _, end, _ in parts]))


def _most(model, length):
    """Returns the largest number of rows of so many steps, a multiple of 8."""
    numbers = (4 + model.num_coefficients) ** 2
    most = _BUDGET // (length * numbers)
    if keras.backend.backend() != "torch":
        most = min(most, _CACHED // numbers)
    return max(8, most // 8 * 8)


def _padded(length):
    """Returns the next of few lengths, for each of which is compiled."""
    steps = math.ceil(math.log(max(length, 32) / 32) / math.log(_GROWTH))
    return math.ceil(32 * _GROWTH**steps)


def _inputs(model, rows, parts, length, size):
    observations = np.zeros((size, length), "float32")
    observed = np.zeros((size, length), "float32")
    design = np.zeros((size, length, model.num_coefficients), "float32")
    for place, (one, end, transformation) in enumerate(parts):
        values = transformation.forward(one.values[:end])
        there = np.isfinite(values)
        observations[place, :end] = np.where(there, values, 0.0)
        observed[place, :end] = there
        design[place, :end] = design_of(model, one, 0, end)
    row = np.zeros(size, "int32")
    row[: len(rows)] = rows
    counts = np.arange(size) < len(rows)
    return {
        "row": row,
        "counts": counts.astype("float32"),
        "observations": observations,
        "observed": observed,
        "design": design,
    }


def design_of(model, one, start, num_steps):
    """Returns harmonics and known columns of steps of a series.

    Args:
        model: `StructuralForecaster`.
        one: `Series`.
        start: Number of the first step, counted from that of the series.
        num_steps: Number of steps.

    Returns:
        `(num_steps, coefficients)`, float32.
    """
    found = structural.harmonic_columns(
        model.seasons, model.harmonics, start, num_steps
    )
    if not model.num_known:
        return found
    # By the first half, which every origin has seen, as a rule.
    past = one.known[: max(2, len(one.values) // 2)]
    spread = np.std(past, axis=0)
    known = one.known[start : start + num_steps] - np.mean(past, axis=0)
    known = known / np.where(spread > 0, spread, 1.0)
    return np.concatenate([found, known.astype("float32")], axis=1)
