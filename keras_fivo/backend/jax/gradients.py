"""Gradients inside a function, on JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keras_fivo.types import Nested


def differentiate(
    function: Callable, parameters: Nested, differentiable: bool
) -> tuple[Any, Nested]:
    """Takes gradients; see `backend.gradients.value_and_grad`."""
    if not differentiable:
        parameters = jax.lax.stop_gradient(parameters)

    def total(parameters: Nested) -> tuple[Any, Any]:
        value, found = function(parameters)
        return jnp.sum(value), found

    (_, found), gradients = jax.value_and_grad(total, has_aux=True)(parameters)
    if not differentiable:
        return jax.lax.stop_gradient((found, gradients))
    return found, gradients
