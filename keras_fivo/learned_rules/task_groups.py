"""What tasks a meta-training has, and what its batches must be."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_fivo.checks import check_count, check_units


class TaskGroup(NamedTuple):
    """Base models that learn side by side, a task each.

    Attributes:
        input_dim: Number of inputs.
        units: Sizes of the layers, the embedding last; or several such
            shapes, one of which each task has in each of its lives.
        num_tasks: Number of base models.
    """

    input_dim: int
    units: Sequence[Any]
    num_tasks: int

    @property
    def shapes(self) -> list:
        """Sizes of the layers, of each shape."""
        if len(self.units) and isinstance(self.units[0], Sequence):
            return list(self.units)
        return [self.units]

    @property
    def draws(self) -> bool:
        """Whether there are several shapes, of which batches choose."""
        return len(self.shapes) > 1


def checked_groups(groups: Sequence[Any]) -> list[TaskGroup]:
    """Returns groups whose sizes can be.

    Args:
        groups: One or more of `TaskGroup`, or of its three fields.

    Raises:
        ValueError: If there is none, or a size is below 1.
    """
    if not len(groups):
        raise ValueError(
            "`groups` must be one or more of `TaskGroup`. "
            f"Received: groups={groups!r}"
        )
    found = [TaskGroup(*group) for group in groups]
    for group in found:
        check_count("input_dim", group.input_dim)
        for units in group.shapes:
            check_units(units)
        check_count("num_tasks", group.num_tasks)
    return found


def check_batches(batches: Any, groups: Sequence[TaskGroup]) -> None:
    """Raises an error unless there is a batch of its shapes for each group.

    Args:
        batches: Dicts, as `MetaTraining` takes them.
        groups: Groups of the meta-training.

    Raises:
        ValueError: If one is missing, lacks an entry or has another shape.
    """
    if len(batches) != len(groups):
        raise ValueError(
            f"A batch must have a dict for each group, {len(groups)}. "
            f"Received: {len(batches)} of them"
        )
    for number, (batch, group) in enumerate(zip(batches, groups, strict=True)):
        tasks, inputs = group.num_tasks, group.input_dim
        wanted: dict[str, tuple] = {
            "inputs": (None, tasks, None, inputs),
            "support": (tasks, None, inputs),
            "query": (tasks, None, inputs),
            "support_targets": (tasks, None, None),
            "query_targets": (tasks, None, None),
            "restart": (tasks,),
        }
        if group.draws:
            wanted["shape"] = (tasks,)
        for name, expected in wanted.items():
            if name not in batch:
                raise ValueError(
                    f"The dict of group {number} must have {list(wanted)}. "
                    f"Received: {sorted(batch)}"
                )
            shape = tuple(batch[name].shape)
            if not _fits(shape, expected):
                raise ValueError(
                    f"`{name}` of group {number} must be of shape {expected}, "
                    "where None stands for any number. Received: shape "
                    f"{shape}"
                )


def _fits(shape: tuple, expected: tuple) -> bool:
    """Tells whether no size that is known is another one than expected."""
    return len(shape) == len(expected) and all(
        None in (a, b) or a == b for a, b in zip(shape, expected, strict=True)
    )
