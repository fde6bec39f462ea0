"""Persistent evolution strategies (Vicol et al., 2021)."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_fivo.types import Tensor


class Perturbations:
    """A perturbation of a rule's weights and its opposite.

    Args:
        variables: Weights of the rule.
        deviation: Standard deviation of each entry.
        seed: Seed generator.
    """

    def __init__(self, variables: list, deviation: float, seed: Any) -> None:
        self.variables, self.deviation = variables, deviation
        self.values = [
            deviation * keras.random.normal(v.shape, seed=seed, dtype=v.dtype)
            for v in variables
        ]

    @contextlib.contextmanager
    def applied(self, sign: int) -> Iterator[None]:
        """Adds the perturbation to the weights, or its opposite for -1."""
        moved = [
            (v, ops.stop_gradient(v.value) + sign * x)
            for v, x in zip(self.variables, self.values, strict=True)
        ]
        with keras.StatelessScope(moved):
            yield

    def accumulate(self, sums: list, restart: Tensor) -> list:
        """Adds this perturbation to those before it in the life of each task.

        Args:
            sums: Before, of each weight `(tasks, ...)`.
            restart: `(tasks,)`, whether the life begins.
        """
        added = []
        for old, x in zip(sums, self.values, strict=True):
            keep = 1.0 - ops.cast(restart, x.dtype)
            keep = ops.reshape(keep, (-1, *[1] * len(x.shape)))
            added.append(keep * old + x)
        return added

    def surrogate(self, sums: list, up: Tensor, down: Tensor) -> Tensor:
        """Returns losses whose gradients are the estimates.

        The estimate of a task is the sum of its perturbations times half the
        difference of the two losses, over the variance.

        Args:
            sums: As from `accumulate`.
            up: Losses under the perturbation, `(tasks,)`.
            down: Losses under its opposite, `(tasks,)`.
        """
        slope = (up - down) / (2 * self.deviation**2)
        linear = 0.0
        for variable, total in zip(self.variables, sums, strict=True):
            product = ops.stop_gradient(total) * variable
            linear = linear + ops.sum(product, axis=range_after(product))
        linear = ops.stop_gradient(slope) * linear
        value = ops.stop_gradient((up + down) / 2 - linear)
        return value + linear


def range_after(x: Tensor) -> tuple:
    """Returns all axes but the first."""
    return tuple(range(1, len(x.shape)))
