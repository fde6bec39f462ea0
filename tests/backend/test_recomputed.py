"""Steps of a scan that run again for their gradients."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_fivo import backend
from tests.reference.gradients import value_and_gradients

STEPS = 4


def problem(change, counted):
    """A scan's loss and its gradients, of variables and of the start."""
    rng = np.random.default_rng(0)
    kernel, shift = (
        keras.Variable(rng.normal(size=size).astype("float32"))
        for size in ((3, 3), (3,))
    )
    start = keras.Variable(rng.normal(size=(2, 3)).astype("float32"))
    inputs = ops.convert_to_tensor(
        rng.normal(size=(STEPS, 2, 3)).astype("float32")
    )

    def step(carry, now):
        counted.append(1)
        (x,), total = carry
        x = ops.tanh(ops.matmul(x, kernel) + shift + now)
        return ([x], total + ops.sum(x**2)), (x, ops.sum(now, -1))

    def loss():
        carry = [ops.copy(start)], ops.zeros(())
        chosen = change(step, [kernel, shift])
        (_, total), (x, other) = backend.scan(chosen, carry, inputs)
        return total + ops.sum(ops.sin(x)) + ops.sum(other)

    return value_and_gradients(loss, [kernel, shift, start])()


@contextlib.contextmanager
def plain():
    """Without loops, nor graphs of TensorFlow."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(backend.unrolled())
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.run_functions_eagerly(True)
            stack.callback(tf.config.run_functions_eagerly, False)
        yield


@pytest.mark.parametrize("mode", [contextlib.nullcontext, plain])
def test_gradients_are_those_of_the_step(mode):
    with mode():
        expected = problem(lambda step, _: step, [])
        found = problem(backend.recomputed, [])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for a, b in zip(found[1], expected[1], strict=True):
        assert np.abs(b).min() > 0
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX runs no step twice in Python"
)
def test_a_plain_step_runs_again_for_its_gradient():
    kept, again = [], []
    with plain():
        problem(lambda step, _: step, kept)
        problem(backend.recomputed, again)
    assert len(kept) == STEPS
    assert len(again) == 2 * STEPS


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others trace no gradients"
)
def test_a_graph_has_the_step_again_in_its_gradient():
    kept, again = [], []
    problem(lambda step, _: step, kept)
    problem(backend.recomputed, again)
    assert len(again) > len(kept)
