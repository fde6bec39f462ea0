"""The scan on JAX gives the values and the derivatives of JAX's own."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of the JAX backend", allow_module_level=True)

import jax
import jax.numpy as jnp

from keras_fivo import backend
from keras_fivo.backend.jax.program import take_apart

STEPS, ROWS, UNITS, FEATURES = 5, 2, 4, 3


def arrays():
    generator = np.random.default_rng(0)
    shapes = {
        "twice": (UNITS, UNITS),
        "once": (UNITS, UNITS),
        "elsewhere": (UNITS, UNITS),
        "scaled": (FEATURES, UNITS),
        "bias": (UNITS,),
    }
    weights = {
        name: jnp.asarray(0.3 * generator.normal(size=shape), "float32")
        for name, shape in shapes.items()
    }
    carry = jnp.asarray(generator.normal(size=(ROWS, UNITS)), "float32")
    inputs = jnp.asarray(
        generator.normal(size=(STEPS, ROWS, FEATURES)), "float32"
    )
    return weights, carry, inputs


def loss_by(scan, reverse=False):
    @jax.jit
    def called(rows, matrix):
        return rows @ matrix

    def loss(weights, carry, inputs):
        def step(carry, now):
            rows, count = carry
            drive = called(now["x"], 2 * weights["scaled"]) + weights["bias"]
            new = jnp.tanh(drive + rows @ weights["twice"])
            new = jax.nn.relu(new @ weights["twice"]) + rows @ weights["once"]
            grown = jnp.sum(now["x"]) * weights["elsewhere"]
            new += rows @ weights["elsewhere"] + grown[:ROWS]
            new = jnp.where(now["n"] > 1, jnp.tanh(new), rows)
            return (new, count + 1), {"y": new**2, "n": 2 * now["n"]}

        scanned = {"x": inputs, "n": jnp.arange(STEPS)}
        (final, count), kept = scan(step, (carry, 0), scanned, reverse=reverse)
        return jnp.sum(kept["y"]) + jnp.sum(final) + count

    return loss


def squares(function):
    def total(*arguments):
        leaves = jax.tree.leaves(function(*arguments))
        return sum(jnp.sum(leaf**2) for leaf in leaves)

    return total


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("moved", [(0,), (1, 2), (0, 1, 2)])
def test_values_and_gradients_are_those_of_jax(reverse, moved):
    found, expected = (
        jax.jit(jax.value_and_grad(loss_by(scan, reverse), moved))(*arrays())
        for scan in (backend.scan, jax.lax.scan)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-5),
        found,
        expected,
    )


def test_second_derivatives_are_those_of_jax():
    found, expected = (
        jax.grad(squares(jax.grad(loss_by(scan))))(*arrays())
        for scan in (backend.scan, jax.lax.scan)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-4),
        found,
        expected,
    )


def test_what_no_step_changes_is_before_the_loop():
    weights, carry, inputs = arrays()

    def step(rows, now):
        return rows @ (weights["once"] + 1.0) + now @ weights["scaled"], rows

    program = take_apart(step, carry, inputs[0])
    assert [p.shape for p in program.products] == [(ROWS, UNITS)] * 2
    assert len(program.before) == 1 and len(program.inside) == 3
    assert not program.shared


def test_a_matrix_that_is_read_otherwise_too_is_no_weight_of_products():
    weights, carry, inputs = arrays()

    def step(rows, now):
        grown = jnp.sum(now) * weights["once"]
        return rows @ weights["once"] + grown[:ROWS], now

    program = take_apart(step, carry, inputs[0])
    assert not program.products and len(program.shared) == 1


def test_compiled_functions_may_be_called_with_literals():
    scaled = jax.jit(lambda share, x: jnp.tanh(x) * share)
    program = take_apart(lambda x: scaled(0.5, x), jnp.ones(3))
    found = program.run(program.fixed(), [jnp.arange(3.0)])
    np.testing.assert_allclose(found, 0.5 * np.tanh(np.arange(3)), 1e-6)
