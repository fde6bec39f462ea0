"""A loop of unknown length on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops


def while_loop(
    cond: Callable, body: Callable, loop_vars: tuple, maximum_iterations: int
) -> Any:
    """Runs a loop as a graph, in which a step takes far less time than eagerly.

    See `keras.ops.while_loop`. No gradient flows through it eagerly.
    """

    def run() -> Any:
        return ops.while_loop(cond, body, loop_vars, maximum_iterations)

    if not tf.executing_eagerly():
        return run()
    return tf.function(run, autograph=False).get_concrete_function()()
