"""Gradients inside a function, on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch

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
    # Nothing is differentiated where no gradients are kept, as in evaluation.
    differentiable = differentiable and torch.is_grad_enabled()
    with torch.enable_grad(), plainly():
        leaves = [
            # Copies: the gradient must not see the same tensors elsewhere.
            x.view_as(x)
            if differentiable and x.requires_grad
            else x.detach().requires_grad_()
            for x in keras.tree.flatten(parameters)
        ]
        found = function(keras.tree.pack_sequence_as(parameters, leaves))
        value = found[0] if has_aux else found
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
