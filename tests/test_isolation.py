import os
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]

TRAIN_AND_RELOAD = """
import os
import sys

from tests.backend_blocker import block_other_backends

hidden = block_other_backends(os.environ["KERAS_BACKEND"])

import keras
import numpy as np

import keras_fivo as kf

cell = kf.VRNNCell(latent_dim=2, units=3, emission=kf.BernoulliHead(4))
model = kf.LatentSequenceModel(cell, bound=kf.FIVO(num_particles=2))
# XLA takes TensorFlow longer than all of the rest.
jit_compile = False if keras.backend.backend() == "tensorflow" else "auto"
model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
observations = np.random.default_rng(0).integers(0, 2, (2, 3, 4))
observations = observations.astype("float32")
model.fit(observations, batch_size=2, verbose=0)
model.save(sys.argv[1])
reloaded = keras.saving.load_model(sys.argv[1])
for old, new in zip(model.weights, reloaded.weights, strict=True):
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(old), keras.ops.convert_to_numpy(new)
    )
assert np.isfinite(reloaded.predict(observations, verbose=0)).all()
assert not hidden & set(sys.modules), hidden & set(sys.modules)
print("weights:", len(model.weights))
"""

IMPORT_THE_OTHERS = """
import importlib
import importlib.util
import os

from tests.backend_blocker import FRAMEWORKS, block_other_backends

block_other_backends(os.environ["KERAS_BACKEND"])
for name in FRAMEWORKS:
    try:
        importlib.import_module(name)
    except ImportError:
        assert importlib.util.find_spec(name) is None
        print("hidden")
    else:
        print("found", name)
"""


def run(script: str, *arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return process.stdout


def test_a_model_trains_and_reloads_where_other_frameworks_are_absent(tmp_path):
    output = run(TRAIN_AND_RELOAD, str(tmp_path / "model.keras"))
    count = int(output.rpartition("weights:")[2])
    assert count > 0


def test_only_the_active_framework_can_be_imported(backend_name):
    lines = run(IMPORT_THE_OTHERS).splitlines()
    assert sorted(lines) == sorted(
        ["hidden", "hidden", f"found {backend_name}"]
    )


def test_an_unknown_backend_is_refused():
    from tests.backend_blocker import block_other_backends

    with pytest.raises(ValueError, match="Received: backend='mxnet'"):
        block_other_backends("mxnet")


def test_blocking_after_keras_was_imported_is_refused(backend_name):
    from tests.backend_blocker import block_other_backends

    with pytest.raises(RuntimeError, match="Received: already imported"):
        block_other_backends(backend_name)
