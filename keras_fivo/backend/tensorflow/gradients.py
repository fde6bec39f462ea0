"""Gradients inside a function, on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_fivo.types import Nested


def differentiate(
    function: Callable, parameters: Nested, differentiable: bool
) -> tuple[Any, Nested]:
    """Takes gradients; see `backend.gradients.value_and_grad`."""
    # Copies: the tape must not see the same tensors elsewhere.
    copy = tf.identity if differentiable else tf.stop_gradient
    leaves = [copy(x) for x in tf.nest.flatten(parameters)]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(leaves)
        value, found = function(tf.nest.pack_sequence_as(parameters, leaves))
    gradients = tape.gradient(value, leaves, unconnected_gradients="zero")
    if not differentiable:
        found, gradients = tf.nest.map_structure(
            tf.stop_gradient, (found, gradients)
        )
    return found, tf.nest.pack_sequence_as(parameters, gradients)
