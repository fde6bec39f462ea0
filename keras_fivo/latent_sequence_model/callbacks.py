"""What `fit` adds to the callbacks that Keras is given."""

import warnings
from typing import Any

import keras
import numpy as np

from keras_fivo.metrics import direction_of

_ABSURD = -100.0
"""Nats by entry: the 32 bits of a float would cost 22."""


def prepared_callbacks(callbacks: Any, model: Any) -> Any:
    """Returns callbacks that know our metrics, and a check of the first bound.

    Keras finds out whether a metric is to be maximised for its own alone: a
    callback of mode `"auto"` that monitors one of ours is told.

    Args:
        callbacks: As for `keras.Model.fit`.
        model: The model that is trained.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        given = callbacks.callbacks
    else:
        given = [] if callbacks is None else keras.tree.flatten(callbacks)
    for callback in given:
        name = str(getattr(callback, "monitor", "")).removeprefix("val_")
        direction = direction_of(name)
        if direction and getattr(callback, "mode", None) == "auto":
            callback.mode = {"up": "max", "down": "min"}[direction]
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return [*given, FirstBound(model.cell)]


class FirstBound(keras.callbacks.Callback):
    """Warns where the bound of the first batch is absurd, with the reason.

    Args:
        cell: Built cell of the model.
    """

    # It reads what it is given and may do so while training goes on.
    async_safe = True

    def __init__(self, cell: Any) -> None:
        super().__init__()
        # JAX takes the variables away while it trains.
        center, scale = (
            np.array(keras.ops.convert_to_numpy(x))
            for x in (cell.center, cell.scale)
        )
        self.threshold = _ABSURD * cell.observation_dim
        self.reason = _reason(center, scale, cell.emission is not None)
        self.is_checked = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Checks the first batch alone."""
        if self.is_checked:
            return
        self.is_checked = True
        bound = float((logs or {}).get("bound_per_step", np.nan))
        if bound < self.threshold:
            reason = self.reason
            if not np.isfinite(bound):
                reason += (
                    " Or an entry is NaN or infinite: of a data set only the "
                    "first batch is checked."
                )
            warnings.warn(
                f"The first bound is absurd: {bound:.3g} nats per step. "
                f"{reason}",
                stacklevel=2,
            )


def _reason(center: np.ndarray, scale: np.ndarray, has_head: bool) -> str:
    """Tells what may be wrong, from what the cell was adapted to."""
    if not np.any(center) and np.all(scale == 1):
        return (
            "The model does not know the units of its data: call "
            "`model.adapt(train)` before `fit`."
        )
    if not has_head:
        return (
            "The densities of the cell are in other units than the data, "
            "whose mean and standard deviation `adapt` found to be "
            f"{center} and {scale}."
        )
    if np.all(scale == 1):
        return (
            "The model knows the mean of its data and not their scale: call "
            "`model.adapt(train)` with `scale=True` before `fit`."
        )
    return (
        "Some observations are far from the mean and standard deviation that "
        f"`adapt` found, {center} and {scale}: look for outliers, adapt to "
        "the data that are trained on, or take an emission of heavier tails."
    )
