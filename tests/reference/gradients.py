"""Gradients on the active backend, as NumPy arrays."""

import keras
import numpy as np


def gradients(function, variables):
    """d function() / d each variable; zeros where it is not used.

    Args:
        function: Without arguments; gives a scalar tensor.
        variables: Keras variables.
    """
    return value_and_gradients(function, variables)()[1]


def value_and_gradients(function, variables):
    """A function of the same arguments, compiled once where that is usual.

    Args:
        function: Gives a scalar tensor.
        variables: Keras variables, which may change between calls.

    Returns:
        Takes the arguments of `function`, tensors, and gives its value and
        its gradients, zeros where a variable is not used.
    """
    name = keras.backend.backend()
    compute = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}[name](
        function, variables
    )

    def call(*arguments):
        value, found = compute(*arguments)
        found = [
            np.zeros(variable.shape, "float32")
            if gradient is None
            else keras.ops.convert_to_numpy(gradient)
            for gradient, variable in zip(found, variables, strict=True)
        ]
        return keras.ops.convert_to_numpy(value), found

    return call


def _jax(function, variables):
    import jax

    def stateless(values, *arguments):
        pairs = zip(variables, values, strict=True)
        with keras.StatelessScope(state_mapping=pairs):
            return function(*arguments)

    compiled = jax.jit(jax.value_and_grad(stateless))
    return lambda *arguments: compiled([v.value for v in variables], *arguments)


def _tensorflow(function, variables):
    import tensorflow as tf

    def compute(*arguments):
        with tf.GradientTape() as tape:
            for variable in variables:
                tape.watch(variable.value)
            value = function(*arguments)
        return value, tape.gradient(value, [v.value for v in variables])

    return compute


def _torch(function, variables):
    import torch

    def compute(*arguments):
        values = [v.value for v in variables]
        for value in values:
            value.requires_grad_(True)
        value = function(*arguments)
        return value, torch.autograd.grad(value, values, allow_unused=True)

    return compute
