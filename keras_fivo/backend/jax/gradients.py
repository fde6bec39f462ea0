"""Gradients inside a function, on JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

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
    if not differentiable:
        parameters = jax.lax.stop_gradient(parameters)

    def total(parameters: Nested) -> tuple[Any, Any]:
        with plainly():
            found = function(parameters)
        return jnp.sum(found[0] if has_aux else found), found

    (_, found), gradients = jax.value_and_grad(total, has_aux=True)(parameters)
    if not differentiable:
        return jax.lax.stop_gradient((found, gradients))
    return found, gradients
