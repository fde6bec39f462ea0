"""Training on TensorFlow: XLA, batches of unequal size, replicas, guards."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_fivo as kf

if keras.backend.backend() != "tensorflow":
    pytest.skip("for TensorFlow alone", allow_module_level=True)

import tensorflow as tf


def rolls(count=6, steps=5, seed=0):
    """Bernoulli data whose sequences differ in length."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, steps + 1, count)
    return {
        "observations": (generator.random((count, steps, 3)) < 0.4).astype(
            "float32"
        ),
        "mask": np.arange(steps) < lengths[:, None],
    }


def model_of(bound="fivo", optimizer=None, hidden_units=(), **compile_options):
    """A small model; the same weights and seed every time."""
    keras.utils.set_random_seed(3)
    # Without hidden layers a step is traced in half the time.
    cell = kf.VRNNCell(2, 3, hidden_units=hidden_units, emission="bernoulli")
    model = kf.LatentSequenceModel(cell, bound=bound, seed=1)
    model.build({"observations": (None, None, 3), "mask": (None, None)})
    model.compile(
        keras.optimizers.SGD(0.1) if optimizer is None else optimizer,
        **compile_options,
    )
    return model


def weights(model):
    return [np.array(v) for v in model.trainable_variables]


def without_noise(monkeypatch):
    """All noise zero, so that runs that draw differently are comparable."""
    zeros = lambda kind, shape, seed, **limits: tf.zeros(shape)  # noqa: E731
    monkeypatch.setattr("keras_fivo.backend.draw", zeros)


@pytest.mark.parametrize("jit", [True, False])
def test_an_epoch_equals_steps_by_hand(jit, monkeypatch):
    """Two whole batches of four, and one of two."""
    without_noise(monkeypatch)
    data = rolls(10)
    model = model_of(jit_compile=jit)
    history = model.fit(data, batch_size=4, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()

    by_hand = model_of(run_eagerly=True)
    for start in (0, 4, 8):
        batch = {k: v[start : start + 4] for k, v in data.items()}
        by_hand.train_step((batch,))
    moved = False
    start = weights(model_of())
    for mine, right, old in zip(
        weights(model), weights(by_hand), start, strict=True
    ):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-6)
        moved = moved or not np.allclose(mine, old)
    assert moved


@pytest.mark.parametrize("jit", [True, False])
def test_several_steps_per_execution_change_nothing_but_the_calls(jit):
    results = []
    for count in (1, 2):
        model = model_of(jit_compile=jit, steps_per_execution=count)
        calls = []
        counter = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, calls=calls: calls.append(
                batch
            )
        )
        model.fit(
            rolls(10),
            batch_size=2,
            shuffle=False,
            verbose=0,
            callbacks=[counter],
        )
        results.append((weights(model), len(calls)))
        assert int(model.optimizer.iterations) == 5
    (one, calls_one), (two, calls_two) = results
    assert (calls_one, calls_two) == (5, 3)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "jit", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_generators_and_data_sets_train_too(jit):
    batches = [rolls(2, seed=i) for i in range(3)]

    def generator():
        yield from ((batch,) for batch in batches)

    data = tf.data.Dataset.from_tensor_slices(rolls(5)).batch(2)
    model = model_of(jit_compile=jit)
    for count, source in ((3, generator()), (6, data)):
        model.fit(source, steps_per_epoch=3, shuffle=False, verbose=0)
        assert int(model.optimizer.iterations) == count
    assert np.isfinite(
        model.evaluate(data, verbose=0, return_dict=True)["loss"]
    )


@pytest.mark.parametrize("jit", [True, False])
def test_xla_and_predictions_agree_without_noise(jit, monkeypatch):
    without_noise(monkeypatch)
    model = model_of(jit_compile=jit)
    logs = model.evaluate(rolls(5), batch_size=2, verbose=0, return_dict=True)
    log_evidence = model.predict(rolls(5), batch_size=2, verbose=0)
    lengths = rolls(5)["mask"].sum()
    np.testing.assert_allclose(
        logs["bound_per_step"], log_evidence.sum() / lengths, rtol=1e-5
    )


@pytest.mark.parametrize("jit", [True, False])
def test_a_gradient_that_is_not_finite_changes_nothing(jit):
    model = model_of(optimizer=keras.optimizers.Adam(0.1), jit_compile=jit)
    good = rolls(4)
    model.fit(good, batch_size=4, verbose=0)
    before = [
        np.array(v) for v in (*model.variables, *model.optimizer.variables)
    ]
    bad = {**good, "observations": np.full((4, 5, 3), 3e38, "float32")}
    iterator = iter(tf.data.Dataset.from_tensors(bad).repeat())
    model.reset_metrics()
    logs = model.train_function(iterator)
    assert float(logs["skipped_updates"]) == 1
    fixed = [*model.trainable_variables, *model.optimizer.variables]
    names = {id(v) for v in fixed}
    everything = [*model.variables, *model.optimizer.variables]
    compared = 0
    for variable, old in zip(everything, before, strict=True):
        if id(variable) in names:
            np.testing.assert_array_equal(variable, old)
            compared += 1
    assert compared >= len(fixed)
    model.fit(good, batch_size=4, verbose=0)
    moved = [
        not np.array_equal(v, old)
        for v, old in zip(everything, before, strict=True)
    ]
    assert any(moved)


@pytest.mark.parametrize("jit", [True, False])
def test_loss_scaling_skips_steps_and_halves_the_scale(jit):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0**40
    )
    model = model_of(optimizer=optimizer, jit_compile=jit)
    start = weights(model)
    model.fit(rolls(4), batch_size=4, verbose=0)
    for mine, old in zip(weights(model), start, strict=True):
        np.testing.assert_array_equal(mine, old)
    assert float(optimizer.dynamic_scale) == 2.0**39
    assert int(optimizer.iterations) == 0
    optimizer.dynamic_scale.assign(2.0**10)
    model.fit(rolls(4), batch_size=4, verbose=0)
    assert int(optimizer.iterations) == 1
    changed = [
        not np.array_equal(mine, old)
        for mine, old in zip(weights(model), start, strict=True)
    ]
    assert any(changed)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from tests.backend import test_tensorflow_training as tests
import keras_fivo.backend
device = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(device, two)
zeros = lambda kind, shape, seed, **limits: tf.zeros(shape)
keras_fivo.backend.draw = zeros
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
data = tests.rolls(8)
data["sample_weight"] = np.ones(8, "float32")
options = dict(batch_size=4, shuffle=False, verbose=0)
# In the first fit one replica's second gradient is not finite.
with strategy.scope():
    many = tests.model_of("fivo", keras.optimizers.Adam(0.1), None)
assert strategy.num_replicas_in_sync == 2
one = tests.model_of(
    "fivo", keras.optimizers.Adam(0.1), None, jit_compile=False
)
for weight in (3e38, 1.0):
    data["sample_weight"][7] = weight
    many.fit(data, **options)
    one.fit(data, **options)
    pairs = zip(many.trainable_variables, one.trainable_variables)
    for a, b in pairs:
        for copy in strategy.experimental_local_results(a.value):
            np.testing.assert_allclose(copy, b, rtol=1e-4, atol=1e-6)
    for model in (many, one):
        steps = model.optimizer.iterations.value
        print("steps", strategy.experimental_local_results(steps)[0].numpy())
"""


def test_two_replicas_give_the_weights_of_one_device():
    """Of two updates of which one is skipped, and then of two more."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["steps", "1"] * 2 + ["steps", "3"] * 2
