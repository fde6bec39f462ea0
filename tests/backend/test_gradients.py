"""Gradients inside the step of a scan, of first and second order."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_fivo import backend
from tests.reference.gradients import value_and_gradients


def tensor(x):
    return ops.convert_to_tensor(np.asarray(x, "float32"))


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("differentiable", [True, False])
def test_each_row_gets_the_gradient_of_its_own_value(differentiable):
    x = tensor([[1.0, 2.0], [3.0, -1.0]])
    scale = tensor([2.0, 5.0])

    def function(parameters):
        total = ops.sum(ops.square(parameters["x"]), -1)
        return scale * total, {"twice": 2 * parameters["x"]}

    parameters = {"unused": tensor([1.0]), "x": x}
    (value, aux), gradients = backend.value_and_grad(
        function, parameters, has_aux=True, differentiable=differentiable
    )
    np.testing.assert_allclose(numpy(value), [10.0, 50.0])
    np.testing.assert_allclose(numpy(aux["twice"]), 2 * numpy(x))
    expected = 2 * numpy(x) * [[2.0], [5.0]]
    np.testing.assert_allclose(numpy(gradients["x"]), expected)
    np.testing.assert_allclose(numpy(gradients["unused"]), [0.0])


def test_what_the_function_reads_besides_is_constant():
    x = tensor([3.0])
    value, gradient = backend.value_and_grad(lambda p: p * x, x)
    np.testing.assert_allclose(numpy(value), [9.0])
    np.testing.assert_allclose(numpy(gradient), [3.0])


def descend(kernel, rate, x, differentiable=True):
    """Steps down (x kernel)^2 + x^3, seen by `value_and_grad`."""

    def energy(x):
        read = backend.linear([(x, kernel, 0)])
        return ops.sum(ops.square(read) + x**3, -1)

    value, gradient = backend.value_and_grad(
        energy, x, differentiable=differentiable
    )
    return x - rate * gradient, value


def run_both(differentiable):
    """Loss and gradients by a scan, and by a loop over its equations."""
    rng = np.random.default_rng(0)
    kernel = keras.Variable(rng.normal(size=(2, 2)).astype("float32"))
    rate = keras.Variable(np.float32(0.1))
    start = tensor(rng.normal(size=(3, 2)))
    inputs = tensor(0.1 * rng.normal(size=(4, 3, 2)))

    def scanned(start, inputs):
        def step(x, now):
            return descend(kernel, rate, x + now, differentiable)

        last, values = backend.scan(step, start, inputs)
        return ops.sum(last**2) + ops.sum(values)

    def looped(start, inputs):
        stop = (lambda x: x) if differentiable else ops.stop_gradient
        x, total = start, 0.0
        matrix = ops.convert_to_tensor(kernel)
        for now in ops.unstack(inputs, 4):
            x = x + now
            read = ops.matmul(x, matrix)
            total = total + stop(ops.sum(ops.square(read) + x**3))
            slope = 2 * ops.matmul(read, ops.transpose(matrix)) + 3 * x**2
            x = x - rate * stop(slope)
        return ops.sum(x**2) + total

    variables = [kernel, rate]
    found = value_and_gradients(scanned, variables)(start, inputs)
    expected = value_and_gradients(looped, variables)(start, inputs)
    return found, expected


@pytest.mark.parametrize("differentiable", [True, False])
def test_inside_a_scan_it_is_differentiated_if_asked(differentiable):
    found, expected = run_both(differentiable)
    np.testing.assert_allclose(found[0], expected[0], 1e-5)
    for mine, right in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(mine, right, 1e-4, 1e-5)
        # The kernel is in the step by its gradient alone.
        assert np.any(mine) == (differentiable or mine.ndim == 0)


@pytest.mark.parametrize("differentiable", [True, False])
def test_it_runs_where_nothing_is_differentiated(differentiable):
    kernel = keras.Variable(np.eye(2, dtype="float32"))
    start = tensor(np.ones((3, 2)))
    inputs = tensor(np.zeros((4, 3, 2)))

    def run(start, inputs):
        return backend.scan(
            lambda x, now: descend(kernel, 0.1, x + now, differentiable),
            start,
            inputs,
        )

    model = keras.Sequential()
    last, _ = backend.compiled(run, model, [])(start, inputs)
    x = np.ones((3, 2))
    for _ in range(4):
        x = x - 0.1 * (2 * x + 3 * x**2)
    np.testing.assert_allclose(numpy(last), x, 1e-5)
