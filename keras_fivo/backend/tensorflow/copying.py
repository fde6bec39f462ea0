"""Copies operations from one graph into another."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

SOURCES = ("Placeholder", "ReadVariableOp")


def can_be_copied(operation: Any) -> bool:
    """Whether an operation has neither side effects nor functions inside."""
    definition = operation.op_def
    return not definition.is_stateful and not any(
        attribute.type in ("func", "list(func)")
        for attribute in definition.attr
    )


def needed(operations: list, targets: Iterable, allowed: Any) -> list:
    """The operations that targets need, in an order in which they can run.

    Args:
        operations: All operations of a graph, in the order of their making.
        targets: Tensors of that graph.
        allowed: Says of an operation whether to go on to it; those in
            `SOURCES` are never taken.
    """
    wanted: set[str] = set()
    waiting = [tensor.op for tensor in targets]
    while waiting:
        operation = waiting.pop()
        if (
            operation.name not in wanted
            and operation.type not in SOURCES
            and allowed(operation)
        ):
            wanted.add(operation.name)
            waiting.extend(tensor.op for tensor in operation.inputs)
    return [op for op in operations if op.name in wanted]


def copy_operations(operations: list, known: dict) -> None:
    """Copies operations into the graph that is being built.

    Args:
        operations: In an order in which they can run.
        known: Tensors of this graph by the names of those of the other that
            they stand for; the outputs of the copies are added.
    """
    graph = tf.compat.v1.get_default_graph()
    for operation in operations:
        if any(tensor.name in known for tensor in operation.outputs):
            continue
        copy = graph.create_op(
            operation.type,
            [known[tensor.name] for tensor in operation.inputs],
            [tensor.dtype for tensor in operation.outputs],
            attrs={
                name: value
                for name, value in operation.node_def.attr.items()
                if not name.startswith("_")
            },
            name=operation.name.rpartition("/")[2],
        )
        pairs = zip(operation.outputs, copy.outputs, strict=True)
        known.update((old.name, new) for old, new in pairs)
