"""The scan on TensorFlow: an ordinary loop, with slots for declared products.

TensorFlow differentiates the loop; what it adds up are gradients of slots, not
of weights: see the README of `backend`.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from keras_fivo.backend.products import (
    Products,
    in_step,
    lifts,
    multiply,
    plainly,
)
from keras_fivo.backend.tensorflow.stacks import (
    element_of,
    make_empty,
    make_reserved,
    pop,
    push,
    put,
    stack_up,
    unstack,
)
from keras_fivo.backend.unrolled import write_out
from keras_fivo.types import Nested

# Steps from which a loop outside of any graph is traced: 120 steps of a VRNN
# and their gradient take as long then as 27 that are written out.
LONG = 100


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`.

    In a graph, first derivatives alone reach the weights of declared products.
    """
    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if tf.executing_eagerly():
        if _num_steps(inputs) < LONG:
            return write_out(step, carry, inputs, reverse)
        with plainly():
            traced = tf.function(
                partial(scan, step, reverse=reverse), autograph=False
            )
            found: tuple = traced(carry, inputs)
            return found
    # TensorFlow prepares second derivatives of a loop inside a loop.
    inner = in_step()
    products = Products(_multiply)
    noting = products.noting(step)
    like = _trace(noting, carry, inputs)
    if products.calls and lifts() and not inner:
        try:
            if any(
                tf.is_tensor(n) for call in products.calls for n in call.shape
            ):
                # Only a step that runs knows the sizes of its products.
                noting(carry, tf.nest.map_structure(lambda x: x[0], inputs))
            return _Lifted(products)(step, carry, inputs, like, reverse)
        except _InsideError:
            warnings.warn(
                "A product with a weight stands in a branch or a loop inside "
                "a step: the gradients of all weights are added up step by "
                "step, which is slower.",
                stacklevel=2,
            )
            with plainly():
                return _loop(step, carry, inputs, like, reverse)[:2]
    values, lifted = products.values(), products.lifted(step)

    def run(carry: Nested, now: Nested) -> tuple[Nested, Nested]:
        return lifted(values, None, carry, now)[:2]

    return _loop(run, carry, inputs, like, reverse)[:2]


class _InsideError(Exception):
    """A product stands inside a function inside a step, as in a branch."""


class _Lifted:
    """A scan whose weights get their gradients after the backward loop.

    Args:
        products: Those of the step, noted.
    """

    def __init__(self, products: Products) -> None:
        self.products = products
        self.rows: list = []

    def __call__(
        self,
        step: Callable,
        carry: Nested,
        inputs: Nested,
        like: Nested,
        reverse: bool,
    ) -> tuple[Nested, Nested]:
        """Returns the last carry and the outputs."""
        values, lifted = self.products.values(), self.products.lifted(step)

        def run(carry: Nested, now: Nested, slots: list) -> tuple:
            return lifted(values, slots, carry, now)

        carry, outputs, rows = _loop(
            run,
            carry,
            inputs,
            like,
            reverse,
            self._slots(values, _num_steps(inputs)),
            [tf.TensorSpec(*read) for read in self.products.reads],
        )
        self.rows += [_differentiable_once(x) for x in rows]
        return carry, outputs

    def _slots(self, values: list, num_steps: Any) -> list:
        """Returns zeros whose gradients become those of the values."""

        @tf.custom_gradient
        def slots(*values: Any) -> tuple[list, Callable]:
            def gradient(*slots: Any) -> list:
                return self.products.gradients(self.rows, list(slots))

            return [
                tf.zeros((num_steps, *call.shape), call.dtype)
                for call in self.products.calls
            ], gradient

        return tf.nest.flatten(slots(*values))


def _multiply(rows: Any, weights: list, slot: Any) -> Any:
    """Returns the product; its slot, not read, gets the weights' gradient."""
    if slot.graph is not tf.compat.v1.get_default_graph():
        raise _InsideError

    @tf.custom_gradient
    def run(rows: Any, kernel: Any, *others: Any) -> tuple[Any, Callable]:
        def gradient(upstream: Any) -> tuple:
            found = tf.matmul(upstream, kernel, transpose_b=True)
            return found, *[None] * len(weights), upstream

        return multiply(rows, kernel, *others[:-1]), gradient

    return run(rows, *weights, slot)


@tf.custom_gradient
def _differentiable_once(rows: Any) -> tuple[Any, Callable]:
    def gradient(upstream: Any) -> Any:
        raise NotImplementedError(
            "Second derivatives of a scan in a graph of TensorFlow do not "
            "reach the weights of its products. Compute them eagerly, or in "
            "`keras_fivo.backend.products.plainly()`."
        )

    return tf.identity(rows), gradient


def _loop(
    run: Callable,
    carry: Nested,
    inputs: Nested,
    like: Nested,
    reverse: bool,
    slots: Any = (),
    kept: Any = (),
) -> tuple[Nested, Nested, list]:
    """Runs a `tf.while_loop` over all steps.

    Args:
        run: A step as for `scan`. With slots, it takes those of the step too,
            and returns what to keep too.
        carry: As for `scan`.
        inputs: As for `scan`.
        like: Shapes and dtypes of the outputs of a step.
        reverse: As for `scan`.
        slots: `(time, ...)`, in the order in which `kept` is written: the
            step that runs first is the last one.
        kept: Shapes and dtypes of what is to be kept.

    Returns:
        The last carry; the outputs of all steps; what was kept.
    """
    num_steps = _num_steps(inputs)
    given = tf.nest.flatten(inputs)
    split = len(given)
    if not reverse:
        given = [tf.reverse(x, [0]) for x in given]
    given = [*given, *slots]
    read = [element_of(x) for x in given]
    written = tf.nest.flatten(like)

    def body(
        index: Any, carry: Nested, given: list, outputs: list, rows: list
    ) -> tuple:
        given, now = pop(given, read)
        first = tf.nest.pack_sequence_as(inputs, now[:split])
        last = [now[split:]] if slots else []
        new, values, *further = run(carry, first, *last)
        tf.nest.assert_same_structure(carry, new)
        new = tf.nest.map_structure(_shaped_like, new, carry)
        outputs = push(outputs, tf.nest.flatten(values))
        rows = put(rows, num_steps - 1 - index, *further or ([],))
        return index + 1, new, given, outputs, rows

    _, carry, _, outputs, rows = tf.while_loop(
        lambda index, *_: index < num_steps,
        body,
        (
            tf.constant(0),
            carry,
            unstack(given),
            make_empty(written, num_steps),
            make_reserved(kept, num_steps),
        ),
        maximum_iterations=num_steps,
        parallel_iterations=1,
    )
    outputs = stack_up(outputs, written, num_steps)
    if reverse:
        outputs = [tf.reverse(x, [0]) for x in outputs]
    outputs = tf.nest.pack_sequence_as(like, outputs)
    return carry, outputs, stack_up(rows, kept, num_steps)


def _shaped_like(new: Any, old: Any) -> Any:
    """Returns the tensor, with the sizes that are known of the other."""
    new = tf.convert_to_tensor(new)
    new.set_shape(old.shape)
    return new


def _num_steps(inputs: Nested) -> Any:
    first = tf.nest.flatten(inputs)[0]
    return first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]


def _trace(step: Callable, carry: Nested, inputs: Nested) -> Nested:
    """Shapes and dtypes of the outputs of a step, by tracing it once."""
    specifications = (
        tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), carry),
        tf.nest.map_structure(element_of, inputs),
    )
    traced = tf.function(
        lambda carry, now: step(carry, now)[1], autograph=False
    ).get_concrete_function(*specifications)
    return traced.structured_outputs
