"""A step of a scan that keeps little for the gradient."""

from collections.abc import Callable
from functools import partial

import keras
from keras import ops

from keras_fivo.types import Nested


def recomputed(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]], variables: list
) -> Callable:
    """Returns a step that keeps its arguments, and runs again for gradients.

    A traced scan on PyTorch keeps everything all the same; a plain one does
    not.

    Args:
        step: Takes the carry and one step of the inputs, returns the next
            carry and outputs.
        variables: Those that it reads and that gradients are taken of.
    """

    def run(values: list, carry: Nested, inputs: Nested) -> tuple:
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(pairs):
            return step(carry, inputs)

    # TensorFlow's loops tell gradients of arguments alone; and copies, as its
    # own variables are no tensors.
    return partial(keras.remat(run), [ops.copy(v) for v in variables])
