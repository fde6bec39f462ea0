"""Gradients inside a function, on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch
from torch.overrides import handle_torch_function, has_torch_function

from keras_fivo.types import Nested


def differentiate(
    function: Callable, parameters: Nested, differentiable: bool
) -> tuple[Any, Nested]:
    """Takes gradients; see `backend.gradients.value_and_grad`."""
    # Nothing is differentiated where no gradients are kept, as in evaluation.
    differentiable = differentiable and torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = [
            _leaf(x, differentiable) for x in keras.tree.flatten(parameters)
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


def _leaf(x: torch.Tensor, differentiable: bool) -> torch.Tensor:
    """Returns a copy to differentiate by, which nothing else has read.

    One call for who records calls: whether `x` has a history may differ from
    one step of a scan to the next.
    """
    if has_torch_function((x,)):
        leaf: torch.Tensor = handle_torch_function(
            _leaf, (x,), x, differentiable
        )
        return leaf
    if differentiable and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_()
