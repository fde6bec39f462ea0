"""The scan on JAX gives the values and the derivatives of JAX's own."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of the JAX backend", allow_module_level=True)

import jax
import jax.numpy as jnp
from keras import ops

from keras_fivo import backend
from keras_fivo.backend.products import without_gradients

STEPS, ROWS, UNITS, FEATURES = 5, 2, 4, 3


class Problem:
    """A step with every kind of product, and the weights that it reads."""

    def __init__(self, rows=ROWS, units=UNITS):
        generator = np.random.default_rng(0)

        def normal(*shape):
            return jnp.asarray(0.3 * generator.normal(size=shape), "float32")

        self.variables = {
            "joined": keras.Variable(normal(FEATURES + units, units)),
            "twice": keras.Variable(normal(units, units)),
            "bias": keras.Variable(normal(units)),
            "own": keras.Variable(normal(units, units)),
        }
        self.weights = {k: v.value for k, v in self.variables.items()}
        self.arguments = (
            self.weights,
            normal(rows, units),
            normal(STEPS, rows, FEATURES),
        )

    def loss(self, scan, reverse=False):
        v = self.variables

        def step(carry, now):
            rows, count = carry
            parts = [(now["x"], v["joined"], 0), (rows, v["twice"], 0)]
            new = jnp.tanh(backend.linear(parts, v["bias"]))
            new = jax.nn.relu(backend.linear([(new, v["joined"], FEATURES)]))
            new += backend.linear([(new, v["joined"], FEATURES)])
            new += rows @ v["own"].value + v["bias"].value
            new = jnp.where(now["n"] > 1, jnp.tanh(new), rows)
            return (new, count + 1), {"y": new**2, "n": 2 * now["n"]}

        def loss(weights, carry, inputs):
            pairs = [(v[name], value) for name, value in weights.items()]
            scanned = {"x": inputs, "n": jnp.arange(STEPS)}
            with keras.StatelessScope(pairs):
                last, kept = scan(step, (carry, 0), scanned, reverse=reverse)
            return jnp.sum(kept["y"]) + jnp.sum(last[0]) + last[1]

        return loss


def assert_close(found, expected, tolerance=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, tolerance, tolerance),
        found,
        expected,
    )


def squares(function):
    def total(*arguments):
        leaves = jax.tree.leaves(function(*arguments))
        return sum(jnp.sum(leaf**2) for leaf in leaves)

    return total


@pytest.mark.parametrize(
    ("rows", "units", "reverse", "moved", "lifted"),
    [
        (2, 4, False, (0, 1, 2), 3),
        (2, 4, True, (0,), 3),
        (2, 4, False, (1, 2), 3),
        (40, 4, True, (0, 1, 2), 0),
        (40, 100, False, (0, 1, 2), 3),
    ],
)
def test_values_and_gradients_are_those_of_jax(
    rows, units, reverse, moved, lifted
):
    problem = Problem(rows, units)
    before = backend.lifted_products()
    found, expected = (
        jax.jit(jax.value_and_grad(problem.loss(scan, reverse), moved))(
            *problem.arguments
        )
        for scan in (backend.scan, jax.lax.scan)
    )
    assert backend.lifted_products() - before == lifted
    assert_close(found, expected, 1e-4)


def test_second_derivatives_are_those_of_jax():
    problem = Problem()
    found, expected = (
        jax.grad(squares(jax.grad(problem.loss(scan))))(*problem.arguments)
        for scan in (backend.scan, jax.lax.scan)
    )
    assert_close(found, expected, 1e-4)


def test_gradients_of_mapped_scans_are_those_of_jax():
    """The carry and the inputs differ, the weights do not."""
    problem = Problem()
    weights, *others = problem.arguments
    others = [jnp.stack([x, 2.0 * x, -x]) for x in others]

    def total(scan):
        losses = jax.vmap(problem.loss(scan), (None, 0, 0))
        return jax.grad(lambda *x: jnp.sum(losses(*x) ** 2), (0, 1, 2))

    found, expected = (
        total(scan)(weights, *others) for scan in (backend.scan, jax.lax.scan)
    )
    assert_close(found, expected, 1e-4)


def test_products_in_branches_are_right_and_say_that_they_are_slow():
    kernel = keras.Variable(np.eye(UNITS, dtype="float32") * 0.5)

    def loss(scan):
        def step(rows, now):
            new = ops.cond(
                now > 0,
                lambda: backend.linear([(jnp.sin(rows), kernel, 0)]),
                lambda: 2.0 * rows,
            )
            return jnp.tanh(new), new

        def total(value):
            with keras.StatelessScope([(kernel, value)]):
                last, _ = scan(step, jnp.ones((1, UNITS)), jnp.arange(3.0))
            return jnp.sum(last)

        return jax.grad(total)

    with pytest.warns(UserWarning, match="in a branch"):
        found = loss(backend.scan)(kernel.value)
    assert_close(found, loss(jax.lax.scan)(kernel.value))


def test_nothing_is_lifted_where_nothing_is_differentiated():
    problem = Problem()
    before = backend.lifted_products()
    with without_gradients():
        found = jax.jit(problem.loss(backend.scan))(*problem.arguments)
    assert backend.lifted_products() == before
    expected = problem.loss(jax.lax.scan)(*problem.arguments)
    assert_close(found, expected)
