"""Base models whose shape is drawn anew for each life."""

from collections.abc import Callable
from functools import partial

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.learned_rules.base import BaseWeights
from keras_fivo.types import Nested, Tensor


def unroll_drawn(
    unroll: Callable[[BaseWeights, dict], tuple],
    bases: list[BaseWeights],
    batch: dict,
) -> tuple[list[BaseWeights], Tensor, Tensor]:
    """Trains base models one after another, each in the shape of its life.

    What one of several branches computes depends on the task: only the branch
    of its shape runs. No width is padded, so that means over units are exact.

    Args:
        unroll: Trains base models of one shape, `(tasks, ...)`, by their part
            of a batch; gives them, losses and accuracies `(tasks,)`.
        bases: Base models of all tasks in each shape, `(tasks, ...)`.
        batch: As `MetaTraining` takes it, with `shape` `(tasks,)`.

    Returns:
        The base models, of which each task has trained one; losses and
        accuracies, `(tasks,)`.
    """
    # (updates, tasks, batch, inputs) -> (tasks, updates, batch, inputs)
    by_task = {**batch, "inputs": ops.swapaxes(batch["inputs"], 0, 1)}
    shapes = by_task.pop("shape")

    def learn(place: int, bases: list, given: dict) -> tuple:
        own = _map(_as_one, given)
        own["inputs"] = ops.swapaxes(own["inputs"], 0, 1)
        base, losses, accuracies = unroll(_map(_as_one, bases[place]), own)
        moved = [*bases[:place], _map(_only, base), *bases[place + 1 :]]
        return moved, losses[0], accuracies[0]

    def step(carry: Nested, now: tuple) -> tuple:
        shape, bases, given = now
        branches = [partial(learn, place) for place in range(len(bases))]
        return carry, ops.switch(shape, branches, bases, given)

    found: tuple
    everything = shapes, bases, by_task
    _, found = backend.branching_scan(step, ops.zeros(()), everything)
    return found


def _as_one(x: Tensor) -> Tensor:
    return x[None]


def _only(x: Tensor) -> Tensor:
    return x[0]


_map = keras.tree.map_structure
