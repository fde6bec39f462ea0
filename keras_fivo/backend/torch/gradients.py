"""Gradients inside a function, on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch

from keras_fivo.types import Nested


def differentiate(
    function: Callable, parameters: Nested, differentiable: bool
) -> tuple[Any, Nested]:
    """See `backend.gradients.value_and_grad`."""
    # Nothing is differentiated where no gradients are kept, as in evaluation.
    differentiable = differentiable and torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = [
            # Copies: the gradient must not see the same tensors elsewhere.
            x.view_as(x)
            if differentiable and x.requires_grad
            else x.detach().requires_grad_()
            for x in keras.tree.flatten(parameters)
        ]
        value, found = function(keras.tree.pack_sequence_as(parameters, leaves))
        gradients = torch.autograd.grad(
            value.sum(),
            leaves,
            create_graph=differentiable,
            materialize_grads=True,
        )
    gradients = keras.tree.pack_sequence_as(parameters, list(gradients))
    if not differentiable:
        found, gradients = keras.tree.map_structure(
            torch.Tensor.detach, (found, gradients)
        )
    return found, gradients
