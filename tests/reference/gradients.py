"""Gradients on the active backend, as NumPy arrays."""

import keras
import numpy as np


def gradients(function, variables):
    """d function() / d each variable; zeros where it is not used.

    Args:
        function: Without arguments; gives a scalar tensor.
        variables: Keras variables.
    """
    name = keras.backend.backend()
    compute = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}[name]
    return [
        np.zeros(variable.shape, "float32")
        if gradient is None
        else keras.ops.convert_to_numpy(gradient)
        for gradient, variable in zip(
            compute(function, variables), variables, strict=True
        )
    ]


def _jax(function, variables):
    import jax

    def stateless(values):
        pairs = zip(variables, values, strict=True)
        with keras.StatelessScope(state_mapping=pairs):
            return function()

    return jax.jit(jax.grad(stateless))([v.value for v in variables])


def _tensorflow(function, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        for variable in variables:
            tape.watch(variable.value)
        value = function()
    return tape.gradient(value, [v.value for v in variables])


def _torch(function, variables):
    import torch

    values = [v.value for v in variables]
    for value in values:
        value.requires_grad_(True)
    return torch.autograd.grad(function(), values, allow_unused=True)
