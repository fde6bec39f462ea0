"""Tasks on several devices."""

import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import pytest

import keras_fivo as kf

TWO_DEVICES = """
import sys

import jax
import keras
import numpy as np

import keras_fivo as kf
from tests.learned_rules.test_meta_training import fit, kept, new_model

groups = (kf.TaskGroup(6, (5,), 4),)
options = {"groups": groups, "estimator": sys.argv[1], "deviation": 0.05}


def trained():
    model = new_model(**options)
    model.optimizer.learning_rate = 0.1
    logs = [fit(model, [number]) for number in (0, 1)]
    return model, logs


one, expected = trained()
with kf.TaskParallel().scope():
    two, logs = trained()
assert len(jax.devices()) == 2
for variable in (*two.bases[0], *(two.accumulated[0] or ())):
    assert not variable.value.sharding.is_fully_replicated
for variable in (*two.rule.weights, *two.optimizer.variables):
    assert variable.value.sharding.is_fully_replicated
    assert len(variable.value.sharding.device_set) == 2
for a, b in zip(logs, expected, strict=True):
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
for a, b in zip(kept(two), kept(one), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
"""


on_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras distributes on JAX alone"
)


@on_jax
@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["backpropagation", "evolution"])
def test_two_devices_give_what_one_gives(estimator):
    flags = os.environ.get("XLA_FLAGS", "")
    flags += " --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, estimator],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags},
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@on_jax
def test_tasks_are_spread_and_the_rule_is_everywhere():
    parallel = kf.TaskParallel(devices=["cpu:0", "cpu:1"])
    assert parallel.get_data_layout((6, 4, 32, 9)).axes == (
        None,
        "batch",
        None,
        None,
    )
    assert parallel.get_data_layout((4, 10, 9)).axes == ("batch", None, None)
    assert parallel.get_data_layout((4,)).axes == ("batch",)
    for name, first in (
        ("meta_training/base_0_3", "batch"),
        ("meta_training/accumulated_1_12", "batch"),
        ("learned_rule_model/base_3", None),
        ("local_update_rule/top_0/kernel", None),
    ):
        variable = SimpleNamespace(path=name, shape=(4, 9))
        assert parallel.get_variable_layout(variable).axes == (first, None)
    with pytest.raises(ValueError, match=r"Received: .* shape \(6, 3, 5, 9\)"):
        parallel.get_data_layout((6, 3, 5, 9))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX spreads them")
def test_a_backend_without_distributions_is_told():
    with pytest.raises(ValueError, match=r"Received: keras\.backend"):
        kf.TaskParallel()


def test_replicas_of_a_strategy_are_refused(monkeypatch):
    """TensorFlow's would split batches along updates, and mix base models."""
    strategy = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(
        kf.MetaTraining, "distribute_strategy", strategy, raising=False
    )
    rule = kf.LocalUpdateRule(units=(4,), top_units=(3,), embedding_dim=None)
    with pytest.raises(ValueError, match="Received: 2 replicas"):
        kf.MetaTraining(rule, [(6, (8,), 2)])
