"""Batches and data sets in the forms that Keras takes."""

import copy
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_fivo.input_checks import (
    check_sample_weight,
    lengths_of,
    observed_entries,
)
from keras_fivo.inputs import STATIC_KEYS


def is_batch(data: Any) -> bool:
    """Tells whether data are arrays in memory, not an iterable of them."""
    if isinstance(data, dict | list | np.ndarray):
        return True
    return hasattr(data, "shape") and hasattr(data, "dtype")


def batches(data: Any) -> Iterator:
    """Yields the inputs of each batch of a data set that can be read again."""
    if is_batch(data):
        yield data
        return
    for item in _items(data):
        yield inputs_of(item)


def checked(data: Any, sample_weight: Any, check: Callable) -> Any:
    """Checks data, or their first batch, and returns what Keras is given.

    Keras would drop weights that come without targets: they are returned
    among the inputs.

    Args:
        data: A batch, or a data set.
        sample_weight: Weights of the sequences `(batch,)`, or None.
        check: Function that checks a batch of inputs and returns arrays.
    """
    if not is_batch(data):
        if sample_weight is not None:
            raise ValueError(
                "A data set must yield its weights itself. Received: "
                f"sample_weight with x of type {type(data).__name__}"
            )
        first, data = first_batch(_in_tuples(data))
        check(first)
        return data
    if sample_weight is None and isinstance(data, dict):
        data, sample_weight = inputs_and_weights(data)
    arrays = check(data)
    if sample_weight is None:
        return arrays
    weights = check_sample_weight(sample_weight, arrays)
    return {**arrays, "sample_weight": weights}


def moments(
    inputs: Iterable[dict], nan_is_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of the observed entries.

    A feature that does not change, but for rounding, has a deviation of 1.

    Args:
        inputs: Checked batches, as from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.

    Returns:
        Two float32 arrays `(features,)`.

    Raises:
        ValueError: If a feature is never observed.
    """
    count: Any = 0.0
    total: Any = 0.0
    squares: Any = 0.0
    for arrays in inputs:
        values, observed = observed_entries(arrays, nan_is_missing)
        # The positions of a frame have their channels' moments in common.
        axes = tuple(range(values.ndim - 1))
        count = count + observed.sum(axes)
        total = total + values.sum(axes)
        squares = squares + np.square(values).sum(axes)
    if not np.all(count):
        raise ValueError(
            "Each feature must be observed at least once in the data "
            f"that the model adapts to. Received: {count} observed "
            "entries"
        )
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    # Observations are float32, of which the last digit is 1e-7 of the value.
    changes = deviation > 1e-6 * np.abs(mean)
    deviation = np.where(changes, deviation, 1.0)
    return mean.astype("float32"), deviation.astype("float32")


def pad_to_bucket(arrays: dict, nan_is_missing: bool) -> dict:
    """Pads a batch to one of few lengths, for each of which XLA compiles.

    Args:
        arrays: As from `check_inputs`.
        nan_is_missing: Whether NaN stands for a missing entry.

    Returns:
        The same inputs, with `lengths`, whose number of steps is a power of
        two or one and a half times one.
    """
    steps = arrays["observations"].shape[1]
    power = 2 ** max(steps - 1, 1).bit_length()
    bucket = 3 * power // 4 if steps <= 3 * power // 4 else power
    padded = {"lengths": lengths_of(arrays, nan_is_missing).astype("int32")}
    padded |= {name: arrays[name] for name in STATIC_KEYS if name in arrays}
    for name in arrays.keys() - padded.keys():
        value = arrays[name]
        widths = [(0, 0)] * value.ndim
        widths[1] = (0, bucket - steps)
        padded[name] = np.pad(value, widths)
    return padded


def _items(data: Any) -> Iterator:
    """Returns what a data set yields in one epoch."""
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in range(data.num_batches))
    return iter(data)


def first_batch(data: Any) -> tuple[Any, Any]:
    """Returns the first batch, and the data with nothing taken from them.

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


@dataclass(frozen=True)
class _InTuple:
    """A `collate_fn` whose batches are tuples; workers can pickle it."""

    collate: Callable

    def __call__(self, items: Any) -> Any:
        batch = self.collate(items)
        return batch if isinstance(batch, list | tuple) else (batch,)


def _in_tuples(data: Any) -> Any:
    """Makes a `DataLoader` one that Keras can read; leaves other data.

    Keras makes a tuple of what a loader yields: a tensor comes apart into its
    sequences, and a dict into its names, but on PyTorch.
    """
    if hasattr(data, "collate_fn"):
        data = copy.copy(data)
        data.collate_fn = _InTuple(data.collate_fn)
    return data


def _put_back(head: Any, rest: Iterator) -> Iterator:
    """Yields tuples, which is what Keras takes."""
    for item in itertools.chain([head], rest):
        yield item if isinstance(item, tuple) else (item,)


def inputs_of(item: Any) -> Any:
    """Returns the inputs of a batch; see `inputs_and_weights`."""
    return inputs_and_weights(item)[0]


def inputs_and_weights(item: Any) -> tuple[Any, Any]:
    """Returns the inputs of a batch and the weights of its sequences, or None.

    Raises:
        ValueError: For targets: sequences are their own.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(item)
    refuse_targets(y)
    if isinstance(x, dict) and "sample_weight" in x:
        x = dict(x)
        weights = x.pop("sample_weight")
    return x, weights


def inputs_and_noise(x: Any) -> tuple[Any, Any]:
    """Returns the inputs of a batch, and the noise among them, or None."""
    if not isinstance(x, dict) or "noise" not in x:
        return x, None
    return {k: v for k, v in x.items() if k != "noise"}, x["noise"]


def refuse_targets(y: Any, class_weight: Any = None) -> None:
    """Refuses targets and their weights: sequences are their own.

    Raises:
        ValueError: If there are any.
    """
    if y is not None:
        raise ValueError(
            "A latent sequence model has no targets: sequences are all that "
            f"it is given. Received: y of type {type(y).__name__}"
        )
    if class_weight is not None:
        raise ValueError(
            "Sequences have no classes: weigh each by `sample_weight` "
            f"(batch,). Received: class_weight={class_weight!r}"
        )


def refuse_nothing_observed(data: Any) -> None:
    """Refuses nothing observed: its bound is 0, or NaN, and teaches nothing.

    Args:
        data: A checked batch, or a data set, which is not looked into.

    Raises:
        ValueError: If a mask or lengths leave nothing of the batch.
    """
    for name in ("mask", "lengths"):
        if isinstance(data, dict) and name in data and not data[name].any():
            raise ValueError(
                "Training data must have at least one observed entry. "
                f"Received: {name} of shape {data[name].shape} without any"
            )


def refuse_losses(compile_config: dict | None) -> None:
    """Refuses a loss or metrics of `compile`, which would go unused.

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


def arguments_of(method: Callable, args: tuple, kwargs: dict) -> dict:
    """Returns by name what a method of Keras was called with.

    Args:
        method: Method as a function, of which the first argument is `self`.
        args: Positional arguments after `self`.
        kwargs: Arguments by name.
    """
    bound = inspect.signature(method).bind(None, *args, **kwargs)
    given = dict(list(bound.arguments.items())[1:])
    further = given.pop("kwargs", {})
    return {**given, **further}


def with_signature_of(method: Callable) -> Callable:
    """Makes help show the signature of a method of Keras for another."""

    def set_signature(function: Callable) -> Callable:
        function.__signature__ = inspect.signature(method)  # type: ignore
        return function

    return set_signature
