"""Gradients inside a function, on every backend."""

from collections.abc import Callable
from typing import Any

from keras_fivo.backend.products import plainly
from keras_fivo.types import Nested


def value_and_grad(
    differentiate: Callable,
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
        differentiate: What the framework does, bound by `backend`: it takes a
            function that returns its value and all that it gives, the
            parameters, and `differentiable`; it returns all that the function
            gives, and the gradients.
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

    def with_value(parameters: Nested) -> tuple[Any, Any]:
        with plainly():
            found = function(parameters)
        return found[0] if has_aux else found, found

    results: tuple[Any, Nested]
    results = differentiate(with_value, parameters, differentiable)
    return results
