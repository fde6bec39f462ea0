"""The scan on TensorFlow against a Python loop."""

import functools
import sys

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("for TensorFlow alone", allow_module_level=True)

import tensorflow as tf

from keras_fivo import backend
from keras_fivo.backend.products import plainly, without_gradients
from keras_fivo.backend.tensorflow.scan import scan

STEPS, BATCH, SIZE, FEATURES = 5, 3, 4, 2


class Problem:
    """A step with every kind of input, and the variables that it reads."""

    def __init__(self):
        generator = np.random.default_rng(0)

        def normal(*shape):
            return generator.standard_normal(shape)

        self.kernel = keras.Variable(
            0.5 * normal(SIZE + FEATURES, SIZE), dtype="float64"
        )
        self.bias = keras.Variable(normal(SIZE), dtype="float64")
        self.scale = tf.Variable(1.5, dtype="float64")
        self.frozen = tf.Variable(normal(SIZE), trainable=False)
        self.unused = tf.Variable(normal(SIZE))
        self.carry = {
            "state": [tf.constant(normal(BATCH, SIZE))],
            "total": tf.constant(normal(BATCH)),
            "count": tf.zeros((BATCH,), tf.int32),
        }
        self.inputs = {
            "x": tf.constant(normal(STEPS, BATCH, FEATURES)),
            "keep": tf.constant(generator.random((STEPS, BATCH)) < 0.7),
            "rows": tf.constant(
                generator.integers(0, BATCH, (STEPS, BATCH)), tf.int32
            ),
        }
        self.outside = tf.constant(normal(SIZE))

    @property
    def variables(self):
        return [self.kernel.value, self.bias.value, self.scale, self.unused]

    def step(self, outside):
        def step(carry, now):
            (state,) = carry["state"]
            # One kernel read whole and in part, declared and not; one input
            # read twice.
            first = tf.matmul(state, self.kernel[:SIZE])
            first += backend.linear([(state, self.kernel, 1)])
            parts = [(state, self.kernel, 0), (now["x"], self.kernel, SIZE)]
            second = tf.nn.silu(backend.linear(parts, self.bias))
            third = backend.linear([(state, self.kernel, 0)], self.bias)
            new = tf.tanh(first + second + third + self.bias)
            new *= self.scale * outside
            new = tf.where(now["keep"][:, None], new + self.frozen, state)
            new = tf.gather(new, now["rows"])
            total = carry["total"] + tf.reduce_sum(tf.square(new), -1)
            outputs = {
                "new": new,
                "flag": now["keep"],
                "same": now["x"],
                "weight": self.bias + outside,
                "nested": (tf.reduce_mean(new, -1), carry["count"]),
            }
            new_carry = {
                "state": [new],
                "total": total,
                "count": carry["count"] + 1,
            }
            return new_carry, outputs

        return step


def python_loop(step, carry, inputs, reverse):
    """What a scan is."""
    order = range(STEPS)[::-1] if reverse else range(STEPS)
    kept = {}
    for time in order:
        now = tf.nest.map_structure(lambda x, t=time: x[t], inputs)
        carry, kept[time] = step(carry, now)
    stacked = [kept[time] for time in range(STEPS)]
    return carry, tf.nest.map_structure(lambda *x: tf.stack(x), *stacked)


def values_and_gradients(loop, problem, carry, inputs, outside, reverse):
    """All results, and gradients of a sum that weighs each differently."""
    sources = [
        carry["state"][0],
        carry["total"],
        inputs["x"],
        outside,
    ]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        # Not a leaf: a tensor that depends on a variable outside the loop.
        doubled = outside * problem.scale
        last, outputs = loop(problem.step(doubled), carry, inputs, reverse)
        leaves = tf.nest.flatten((last, outputs))
        loss = tf.add_n(
            [
                tf.reduce_sum(tf.sin(x * (i + 1.0)))
                for i, x in enumerate(leaves)
                if x.dtype.is_floating
            ]
        )
    found = tape.gradient(loss, [*sources, *problem.variables])
    return leaves, found


def assert_same(mine, right, tolerance=1e-10):
    for results, expected in zip(mine, right, strict=True):
        for a, b in zip(results, expected, strict=True):
            if b is None:
                assert a is None
                continue
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("jit", "batch"), [(True, BATCH), (False, BATCH), (False, None)]
)
def test_values_and_gradients_equal_a_python_loop(jit, batch, reverse):
    problem = Problem()
    arguments = (problem.carry, problem.inputs, problem.outside)
    right = values_and_gradients(python_loop, problem, *arguments, reverse)

    def relaxed(x, axis):
        shape = [*x.shape]
        shape[axis] = batch
        return tf.TensorSpec(shape, x.dtype)

    specifications = (
        tf.nest.map_structure(lambda x: relaxed(x, 0), problem.carry),
        tf.nest.map_structure(lambda x: relaxed(x, 1), problem.inputs),
        tf.TensorSpec(problem.outside.shape, tf.float64),
    )

    @tf.function(
        jit_compile=jit, input_signature=specifications, autograph=False
    )
    def mine(carry, inputs, outside):
        return values_and_gradients(
            scan, problem, carry, inputs, outside, reverse
        )

    assert_same(mine(*arguments), right)


@pytest.fixture(params=["short", "long"])
def eager_length(request, monkeypatch):
    """What counts as long, outside of any graph, is traced."""
    if request.param == "long":
        module = sys.modules["keras_fivo.backend.tensorflow.scan"]
        monkeypatch.setattr(module, "LONG", 2)


@pytest.mark.usefixtures("eager_length")
@pytest.mark.parametrize("reverse", [False, True])
def test_eager_values_and_gradients_equal_a_python_loop(reverse):
    problem = Problem()
    arguments = (problem.carry, problem.inputs, problem.outside, reverse)
    assert_same(
        values_and_gradients(scan, problem, *arguments),
        values_and_gradients(python_loop, problem, *arguments),
    )


def test_the_number_of_steps_may_be_unknown():
    problem = Problem()
    specification = {
        name: tf.TensorSpec([None, *x.shape[1:]], x.dtype)
        for name, x in problem.inputs.items()
    }

    @tf.function(input_signature=[specification], autograph=False)
    def mine(inputs):
        return values_and_gradients(
            scan, problem, problem.carry, inputs, problem.outside, False
        )

    right = values_and_gradients(
        python_loop,
        problem,
        problem.carry,
        problem.inputs,
        problem.outside,
        False,
    )
    assert_same(mine(problem.inputs), right)


def test_without_gradients_the_values_are_the_same():
    problem = Problem()
    step = problem.step(problem.outside)

    @tf.function(autograph=False)
    def mine():
        with without_gradients():
            return scan(step, problem.carry, problem.inputs)

    right = python_loop(step, problem.carry, problem.inputs, False)
    flat = tf.nest.flatten
    assert_same([flat(mine())], [flat(right)])


@pytest.mark.parametrize("jit", [True, False])
def test_steps_with_loops_of_their_own_are_run_by_the_plain_loop(jit):
    """Values and gradients; the inner scan reads the outer carry."""
    weight = tf.Variable(0.7)
    inputs = tf.constant([[1.0, 2.0], [0.5, -1.0], [0.1, 0.3]])

    def inner_python(carry, now):
        for x in tf.unstack(now):
            carry = tf.sin(carry * weight + x)
        return carry, carry

    def inner_scan(carry, now):
        def step(state, x):
            state = tf.sin(state * weight + x)
            return state, state

        last, _ = scan(step, carry, now)
        return last, last

    def run(loop, inner):
        with tf.GradientTape() as tape:
            carry = tf.constant(0.2)
            if loop is scan:
                _, outputs = scan(inner, carry, inputs)
            else:
                kept = []
                for now in tf.unstack(inputs):
                    carry, out = inner(carry, now)
                    kept.append(out)
                outputs = tf.stack(kept)
            loss = tf.reduce_sum(outputs * [1.0, 2.0, 3.0])
        return outputs, tape.gradient(loss, weight)

    mine = tf.function(run, jit_compile=jit, autograph=False)
    mine, right = mine(scan, inner_scan), run(None, inner_python)
    assert_same([mine], [right], tolerance=1e-5)


def test_random_steps_draw_anew_in_each_step():
    generator = tf.random.Generator.from_seed(1)

    def step(carry, now):
        return carry, generator.normal(())

    outputs = tf.function(
        lambda: scan(step, tf.constant(0.0), tf.zeros(4))[1]
    )()
    assert len(np.unique(outputs)) == 4


def lifted_by(function):
    """How many products a function lifts, and what it returns."""
    before = backend.lifted_products()
    results = function()
    return backend.lifted_products() - before, results


compiled = functools.partial(tf.function, autograph=False)


def in_graph(loop, problem):
    arguments = (problem.carry, problem.inputs, problem.outside, False)
    return compiled(lambda: values_and_gradients(loop, problem, *arguments))


def test_gradients_of_declared_products_are_formed_after_the_loop():
    problem = Problem()
    assert lifted_by(in_graph(scan, problem))[0] == 3

    def plain(*arguments):
        with plainly():
            return scan(*arguments)

    def undifferentiated():
        with without_gradients():
            return scan(
                problem.step(problem.outside), problem.carry, problem.inputs
            )

    assert lifted_by(compiled(undifferentiated))[0] == 0
    found = in_graph(python_loop, problem)()
    assert_same(found, in_graph(plain, problem)())


def small_step(inside=lambda function: function()):
    """A step whose product stands inside something, and its kernel."""
    kernel = keras.Variable(0.5 * np.eye(2), dtype="float64")

    def step(carry, now):
        product = inside(lambda: backend.linear([(carry, kernel, 0)]))
        new = tf.sin(product + now)
        return new, tf.square(new)

    carry = tf.ones((1, 2), "float64")
    inputs = tf.constant([[[0.2, 0.3]], [[-0.4, 0.1]], [[0.5, 0.6]]], "float64")
    return kernel, step, carry, inputs


def gradient_of(loop, kernel, step, carry, inputs):
    with tf.GradientTape() as tape:
        last, outputs = loop(step, carry, inputs)
        loss = tf.reduce_sum(last) + tf.reduce_sum(outputs)
    return tape.gradient(loss, kernel.value)


def test_products_in_branches_are_right_and_say_that_they_are_slow():
    problem = small_step(
        lambda product: tf.cond(
            tf.constant(True), product, lambda: tf.zeros((1, 2), "float64")
        )
    )
    right = gradient_of(scan, *problem)
    with pytest.warns(UserWarning, match="in a branch"):
        found = compiled(lambda: gradient_of(scan, *problem))()
    np.testing.assert_allclose(found, right)


@pytest.mark.parametrize("jit", [True, False])
def test_gradients_inside_a_step_are_differentiated(jit):
    """As a proposal does that climbs its own objective."""
    kernel, step, carry, inputs = small_step()

    def climbing(carry, now):
        with plainly(), tf.GradientTape() as tape:
            tape.watch(carry)
            objective = tf.reduce_sum(step(carry, now)[1])
        moved = carry + tape.gradient(objective, carry)
        return step(moved, now)

    problem = (kernel, climbing, carry, inputs)
    right = gradient_of(scan, *problem)
    lifted, found = lifted_by(
        compiled(lambda: gradient_of(scan, *problem), jit_compile=jit)
    )
    assert lifted == 1
    np.testing.assert_allclose(found, right)


@pytest.mark.usefixtures("eager_length")
def test_second_derivatives_are_right_eagerly_or_plainly_or_refused():
    kernel, *others = small_step()

    def second():
        with tf.GradientTape() as tape:
            first = gradient_of(scan, kernel, *others)
            total = tf.reduce_sum(tf.square(first))
        return tape.gradient(total, kernel.value)

    def plain():
        with plainly():
            return second()

    np.testing.assert_allclose(compiled(plain)(), second())
    with pytest.raises(NotImplementedError, match="Compute them eagerly"):
        compiled(second)()


def test_carry_of_another_structure_is_refused():
    with pytest.raises((TypeError, ValueError)):
        tf.function(
            lambda: scan(
                lambda carry, now: ([carry], now), tf.zeros(2), tf.zeros((3, 2))
            )
        )()
