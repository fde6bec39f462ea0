"""How gradients of weights are summed over the steps of a scan."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Product:
    """`left^T right`, of all steps at once after the loop.

    That takes one product of large matrices in the place of one of small
    ones, and a sum of matrices, in each step.
    """

    left: Any
    right: Any

    @property
    def stacked(self) -> list:
        """The tensors whose values in all steps this needs."""
        return [self.left, self.right]

    def total(self, stacks: dict) -> Any:
        """The sum over all steps.

        Args:
            stacks: `(time, ...)` by the names of tensors in `stacked`.
        """
        left, right = (_merge_rows(stacks[x.name]) for x in self.stacked)
        return tf.matmul(left, right, transpose_a=True)


@dataclass(frozen=True)
class Sum:
    """A sum of a tensor that is stacked anyway, of all steps at once."""

    tensor: Any
    axes: tuple
    shape: Any

    @property
    def stacked(self) -> list:
        """The tensors whose values in all steps this needs."""
        return [self.tensor]

    def total(self, stacks: dict) -> Any:
        """The sum over all steps, in float32 at least; see `Product`."""
        stack = stacks[self.tensor.name]
        axes = [0, *(axis + 1 for axis in self.axes)]
        wide = tf.float32 if stack.dtype.size < 4 else stack.dtype
        total = tf.reduce_sum(tf.cast(stack, wide), axes)
        return tf.reshape(tf.cast(total, stack.dtype), self.shape)


@dataclass(frozen=True)
class Running:
    """A tensor that is added up in the loop."""

    tensor: Any

    stacked = ()

    def total(self, sums: dict) -> Any:
        """The sum over all steps.

        Args:
            sums: Sums by the names of tensors.
        """
        return sums[self.tensor.name]


Term = Product | Sum | Running


def terms_of(gradients: list) -> list[list[Term] | None]:
    """How to sum each gradient; None where there is none.

    Args:
        gradients: Tensors of one step's graph, or None.
    """
    split = [x if x is None else _summands(x) for x in gradients]
    products = {
        x.name: Product(*x.op.inputs)
        for summands in split
        for x in summands or ()
        if _is_product(x.op)
    }
    rights = {product.right.name for product in products.values()}

    def term(x: Any) -> Term:
        return products.get(x.name) or _as_sum(x, rights) or Running(x)

    return [
        None if summands is None else [term(x) for x in summands]
        for summands in split
    ]


def _summands(gradient: Any) -> list:
    if gradient.op.type == "AddN":
        return list(gradient.op.inputs)
    return [gradient]


def _is_product(operation: Any) -> bool:
    return (
        operation.type == "MatMul"
        and operation.get_attr("transpose_a")
        and not operation.get_attr("transpose_b")
    )


def _as_sum(tensor: Any, stacked: set[str]) -> Sum | None:
    """The gradient of a bias, where what it sums is stacked for a product."""
    operation = tensor.op
    if operation.type == "Reshape":
        operation = operation.inputs[0].op
    if (
        operation.type != "Sum"
        or operation.inputs[0].name not in stacked
        or not tensor.shape.is_fully_defined()
    ):
        return None
    axes = tf.get_static_value(operation.inputs[1])
    if axes is None:
        return None
    rank = operation.inputs[0].shape.rank
    axes = tuple(int(axis) % rank for axis in axes.reshape(-1))
    return Sum(operation.inputs[0], axes, tensor.shape)


def _merge_rows(stack: Any) -> Any:
    size = stack.shape[-1]
    size = tf.shape(stack)[-1] if size is None else size
    return tf.reshape(stack, (-1, size))
