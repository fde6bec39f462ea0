"""The scan on JAX.

With few rows, or large kernels, the gradients of declared products are formed
after the loop; see the README of `backend`. With many rows of small kernels the
products of the loop are no worse, and what takes the time is memory: above 32
MB a CPU's pages are new at each update. The loop then keeps the carry alone,
and computes each step again.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keras_fivo.backend.products import (
    Products,
    lifts,
    multiply,
    plainly,
)
from keras_fivo.types import Nested

_FEW_ROWS = 32


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`.

    Derivatives of the weights of declared products are taken in reverse mode
    only.
    """
    first = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), inputs
    )
    products = Products(_multiply)
    if lifts():
        jax.eval_shape(products.noting(step), carry, first)
    weights = products.values()
    if not _traced((weights, carry, inputs)):
        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    if not _worth_keeping(products, weights):
        again = jax.checkpoint(step, prevent_cse=False)
        return jax.lax.scan(again, carry, inputs, reverse=reverse)
    try:
        loop = _Lifted(products, step, carry, first, reverse)
        return loop(weights, carry, inputs)
    except jax.errors.UnexpectedTracerError:
        warnings.warn(
            "A product with a weight stands in a branch, a loop or a mapped "
            "function inside a step: the gradients of all weights are added "
            "up step by step, which is slower.",
            stacklevel=2,
        )
        with plainly():
            return jax.lax.scan(step, carry, inputs, reverse=reverse)


def _traced(tree: Nested) -> bool:
    """Tells whether weights are there, and compiled or differentiated."""
    leaves = jax.tree.leaves(tree)
    return bool(tree[0]) and any(isinstance(x, jax.core.Tracer) for x in leaves)


def _worth_keeping(products: Products, weights: list) -> bool:
    """Tells whether to keep what products read and give, for after the loop.

    In the loop each step passes over the gradients of all kernels instead.
    """
    rows = [math.prod(call.shape[:-1]) for call in products.calls]
    kernels = [weights[call.weights[0]].shape for call in products.calls]
    kept = sum(n * sum(shape) for n, shape in zip(rows, kernels, strict=True))
    return max(rows) <= _FEW_ROWS or kept <= sum(map(math.prod, kernels))


@jax.custom_jvp
def _attach(product: Any, slot: Any) -> Any:
    """Returns `product + slot`; the slot is zero, and not read."""
    return product


_attach.defjvps(lambda moved, *_: moved, lambda moved, *_: moved)


def _multiply(rows: Any, weights: list, slot: Any) -> Any:
    return _attach(multiply(rows, *weights), slot)


class _Lifted:
    """A scan whose weights get their gradients after the backward loop.

    Args:
        products: Those of the step, noted.
        step: As for `scan`.
        carry: As for `scan`.
        first: Shapes of the inputs of one step.
        reverse: As for `scan`.
    """

    def __init__(
        self,
        products: Products,
        step: Callable,
        carry: Nested,
        first: Nested,
        reverse: bool,
    ) -> None:
        self.products, self.reverse = products, reverse
        # What else the step reads must be an argument of the custom rule.
        self.step, self.closed = jax.closure_convert(
            products.lifted(step),
            products.values(),
            self._zeros(),
            carry,
            first,
        )

    def __call__(self, weights: list, carry: Nested, inputs: Nested) -> Any:
        """Returns the last carry and the outputs."""
        run = jax.custom_vjp(lambda given, rest: self._run(given, rest, [])[0])
        run.defvjp(self._forward, self._backward)
        return run(weights, (carry, inputs, self.closed))

    def _zeros(self, *sizes: int) -> list:
        return [
            jnp.zeros((*sizes, *call.shape), call.dtype)
            for call in self.products.calls
        ]

    def _run(self, weights: list, arguments: tuple, slots: list) -> Any:
        """Returns results, and with slots what products read in all steps."""
        carry, inputs, closed = arguments

        def step(carry: Nested, now: tuple) -> Any:
            now, slots = now
            given = (weights, slots or self._zeros(), carry, now)
            carry, outputs, rows = self.step(*given, *closed)
            return carry, (outputs, rows if slots else [])

        last, (outputs, rows) = jax.lax.scan(
            step, carry, (inputs, slots), reverse=self.reverse
        )
        return (last, outputs), rows

    def _forward(self, weights: list, arguments: tuple) -> Any:
        steps = jax.tree.leaves(arguments[1])[0].shape[0]
        results, pull_back, rows = jax.vjp(
            lambda arguments, slots: self._run(weights, arguments, slots),
            arguments,
            self._zeros(steps),
            has_aux=True,
        )
        return results, (pull_back, rows)

    def _backward(self, kept: tuple, gradients: Any) -> tuple:
        pull_back, rows = kept
        arguments, slots = pull_back(gradients)
        return self.products.gradients(rows, slots), arguments
