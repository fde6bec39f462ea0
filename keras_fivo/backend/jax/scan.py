"""The scan on JAX.

JAX's own scan adds to the gradient of each weight at every step of its
backward loop: a product of few rows, and a pass over all weights. Here the
loop keeps what each product with a weight read, and the gradient of what it
gave; one product per weight follows, for all steps at once. With many rows the
products of the loop are no worse, and what is kept costs more than it saves.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from keras_fivo.backend.jax.program import Program, take_apart
from keras_fivo.types import Nested

_MOST_ROWS = 32


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`.

    Derivatives of weights are taken in reverse mode only.
    """
    first = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), inputs
    )
    program = take_apart(step, carry, first)
    products = program.products
    if not products or max(p.shape[0] for p in products) > _MOST_ROWS:
        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    values = program.fixed()
    matrices = {p.matrix: values[p.matrix] for p in products}
    arguments = ([values[name] for name in program.shared], carry, inputs)
    return _Loop(program, reverse).run(matrices, arguments)


class _Loop:
    """A scan whose weights get their gradients after the backward loop."""

    def __init__(self, program: Program, reverse: bool):
        self.program = program
        self.reverse = reverse
        self.run = jax.custom_vjp(self._plain)
        self.run.defvjp(self._forward, self._backward, symbolic_zeros=True)
        self._structure: Any = None
        self._moved: list[bool] = []

    def _plain(self, matrices: dict, arguments: tuple) -> Any:
        shared, carry, inputs = arguments
        values = self._values(matrices, shared)

        def step(carry: Nested, now: Nested) -> Any:
            return self.program.run(values, jax.tree.leaves((carry, now)))

        return jax.lax.scan(step, carry, inputs, reverse=self.reverse)

    def _keeping(self, matrices: dict, arguments: tuple, slots: list) -> Any:
        """The scan, which also returns the rows that products read."""
        shared, carry, inputs = arguments
        values = self._values(matrices, shared)

        def step(carry: Nested, now: tuple) -> Any:
            now, slots = now
            rows: list = [None] * len(slots)

            def product(number: int, left: Any, right: Any) -> Any:
                rows[number] = left
                return _product(left, right, slots[number])

            leaves = jax.tree.leaves((carry, now))
            carry, kept = self.program.run(values, leaves, product)
            return carry, (kept, rows)

        final, (kept, rows) = jax.lax.scan(
            step, carry, (inputs, slots), reverse=self.reverse
        )
        return (final, kept), rows

    def _values(self, matrices: dict, shared: list) -> dict:
        return {
            **matrices,
            **dict(zip(self.program.shared, shared, strict=True)),
        }

    def _forward(self, matrices: dict, arguments: tuple) -> Any:
        matrices = {name: matrix.value for name, matrix in matrices.items()}
        leaves, self._structure = jax.tree.flatten(
            arguments, is_leaf=lambda x: hasattr(x, "perturbed")
        )
        self._moved = [leaf.perturbed for leaf in leaves]
        fixed = [leaf.value for leaf in leaves]

        def run(moving: list, slots: list) -> Any:
            return self._keeping(matrices, self._merge(moving, fixed), slots)

        steps = jax.tree.leaves(self._merge([], fixed)[2])[0].shape[0]
        slots = [
            jnp.zeros((steps, *product.shape), product.dtype)
            for product in self.program.products
        ]
        moving = [x for x, m in zip(fixed, self._moved, strict=True) if m]
        out, pull_back, rows = jax.vjp(run, moving, slots, has_aux=True)
        return out, (pull_back, rows)

    def _backward(self, kept: Any, cotangents: Any) -> Any:
        pull_back, rows = kept
        moving, slots = pull_back(
            jax.tree.map(
                _dense,
                cotangents,
                is_leaf=lambda x: isinstance(x, SymbolicZero),
            )
        )
        totals: dict = {}
        for product, read, slot in zip(
            self.program.products, rows, slots, strict=True
        ):
            total = jnp.einsum("tri,tro->io", read, slot)
            name = product.matrix
            totals[name] = totals[name] + total if name in totals else total
        return totals, self._merge(moving, [None] * len(self._moved))

    def _merge(self, moving: list, others: list) -> Any:
        """The arguments, of which some are moved by what differentiates."""
        if not moving:
            return jax.tree.unflatten(self._structure, others)
        given = iter(moving)
        return jax.tree.unflatten(
            self._structure,
            [
                next(given) if moved else other
                for moved, other in zip(self._moved, others, strict=True)
            ],
        )


@jax.custom_vjp
def _product(rows: Any, matrix: Any, slot: Any) -> Any:
    """`rows @ matrix + slot`, where the slot is zero, and not read."""
    return rows @ matrix


def _product_forward(rows: Any, matrix: Any, slot: Any) -> Any:
    # The rows are of use only to who asks for a derivative twice.
    read = rows.value if matrix.perturbed else None
    return rows.value @ matrix.value, (matrix.value, read)


def _product_backward(kept: Any, cotangent: Any) -> Any:
    matrix, rows = kept
    cotangent = _dense(cotangent)
    towards_matrix = None if rows is None else rows.T @ cotangent
    return cotangent @ matrix.T, towards_matrix, cotangent


_product.defvjp(_product_forward, _product_backward, symbolic_zeros=True)


def _dense(cotangent: Any) -> Any:
    """Zeros for what has none; integers have those of type float0."""
    if not isinstance(cotangent, SymbolicZero):
        return cotangent
    aval = cotangent.aval
    if aval.dtype == jax.dtypes.float0:
        return np.zeros(aval.shape, aval.dtype)
    return jnp.zeros(aval.shape, aval.dtype)
