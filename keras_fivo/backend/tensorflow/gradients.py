"""Gradients inside a function, on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_fivo.backend.products import plainly
from keras_fivo.types import Nested


def value_and_grad(
    function: Callable[[Nested], Any],
    parameters: Nested,
    has_aux: bool = False,
    differentiable: bool = True,
) -> tuple[Any, Nested]:
    """Returns what a function gives, and the gradient of the sum of that.

    It may stand in the step of a scan, and inside functions that are compiled
    or differentiated. Where each row of the value depends on the same row of
    the parameters alone, each row gets the gradient of its own value.

    Args:
        function: Of nested float tensors; gives a float tensor of any shape,
            or with `has_aux` that and nested tensors besides.
        parameters: Where it is evaluated. What else the function reads has no
            part in the gradient, even if it is one of these tensors.
        has_aux: Whether the function gives more than its value.
        differentiable: Whether value and gradient may be differentiated; if
            not, they are constants.

    Returns:
        What the function gave; and gradients nested like `parameters`, zeros
        where the value does not depend on them.
    """
    # Copies: the tape must not see the same tensors elsewhere.
    copy = tf.identity if differentiable else tf.stop_gradient
    leaves = [copy(x) for x in tf.nest.flatten(parameters)]
    with plainly(), tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(leaves)
        found = function(tf.nest.pack_sequence_as(parameters, leaves))
        value = found[0] if has_aux else found
    gradients = tape.gradient(value, leaves, unconnected_gradients="zero")
    if not differentiable:
        found, gradients = tf.nest.map_structure(
            tf.stop_gradient, (found, gradients)
        )
    return found, tf.nest.pack_sequence_as(parameters, gradients)
