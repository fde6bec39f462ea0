"""What an update must be to be applied, on every backend."""

from collections.abc import Iterable
from typing import Any

from keras import ops

from keras_fivo.types import Tensor


def all_finite(losses: Iterable[Tensor], gradients: Iterable[Any]) -> Tensor:
    """Returns whether losses and the global norm of gradients are finite.

    Gradients whose squares overflow count as not finite: optimizers that clip
    by the norm would turn them into NaN.

    Args:
        losses: Scalars.
        gradients: Gradients of the variables; None where there is none.
    """
    squares = [
        ops.sum(ops.square(ops.convert_to_tensor(x)))
        for x in gradients
        if x is not None
    ]
    total = sum(squares, ops.zeros(()))
    return ops.all(ops.isfinite(ops.stack([*losses, total])))
