"""Saving, callbacks, and runs that are interrupted."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import (
    Batches,
    assert_same,
    differ,
    model,
    two_batches,
    weights,
)
from tests.reference.examples import BATCH, STEPS, data, numpy

QUIET = {"verbose": 0, "shuffle": False}


def trained(**options):
    """A model, adapted and trained for two steps with Adam."""
    made = model(
        optimizer="adam",
        rate=0.01,
        bound=kf.FIVO(2, "multinomial", "always"),
        evaluation_bound=kf.IWAE(3),
        **options,
    )
    whole, _ = two_batches()
    made.adapt(whole)
    made.fit(whole, batch_size=3, **QUIET)
    return made


def state_of(made):
    """All that training goes on from."""
    variables = [*made.weights, *made.optimizer.variables]
    seeds = [made.seed_generator.state, made.filter_seed_generator.state]
    return [keras.ops.convert_to_numpy(v) for v in [*variables, *seeds]]


@pytest.mark.parametrize(
    "suffix",
    [
        ".keras",
        pytest.param(".weights.h5", marks=pytest.mark.one_backend),
    ],
)
def test_a_file_holds_all_that_training_goes_on_from(tmp_path, suffix):
    whole, _ = two_batches()
    made = trained()
    path = str(tmp_path / f"model{suffix}")
    if suffix == ".keras":
        made.save(path)
        loaded = keras.saving.load_model(path)
        assert loaded.get_config() == made.get_config()
    else:
        made.save_weights(path)
        loaded = model(
            optimizer="adam",
            rate=0.01,
            seed=8,
            bound=made.bound,
            evaluation_bound=made.evaluation_bound,
        )
        loaded.build((None, None, 3))
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(path)
    assert_same(state_of(loaded), state_of(made), 0)
    for name in ("bound", "evaluation_bound"):
        found, expected = getattr(loaded, name), getattr(made, name)
        assert type(found) is type(expected)
        assert found.get_config() == expected.get_config()
    np.testing.assert_array_equal(
        loaded.predict(whole, verbose=0), made.predict(whole, verbose=0)
    )
    for each in (made, loaded):
        each.fit(whole, batch_size=3, **QUIET)
    assert_same(state_of(loaded), state_of(made), 1e-6)


def test_bounds_of_a_loaded_model_may_be_replaced(tmp_path):
    whole, _ = two_batches()
    made = trained()
    path = str(tmp_path / "model.keras")
    made.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.evaluate(whole, verbose=0, return_dict=True)["ess"] <= 3
    loaded.evaluation_bound = made.evaluation_bound = kf.FIVO(16)
    found, expected = (
        each.evaluate(whole, verbose=0, return_dict=True)
        for each in (loaded, made)
    )
    assert found["ess"] > 3
    assert_same(found, expected)


def test_files_without_the_state_of_the_noise_still_load():
    made = model()
    before = numpy(made.seed_generator.state.value)
    made.load_own_variables({})
    np.testing.assert_array_equal(
        numpy(made.seed_generator.state.value), before
    )


def test_configurations_and_clones_are_models_of_their_own():
    made = trained(loss_per="sequence", nan_is_missing=True, evaluation_seed=5)
    for copy in (
        kf.LatentSequenceModel.from_config(made.get_config()),
        keras.models.clone_model(made),
    ):
        assert copy.get_config() == made.get_config()
        assert copy.cell is not made.cell
        copy.build((None, None, 3))
        assert [w.shape for w in copy.weights] == [
            w.shape for w in made.weights
        ]


def test_checkpoints_and_early_stopping_keep_the_best(tmp_path):
    whole, _ = two_batches()
    path = str(tmp_path / "best.keras")
    made = model(rate=30.0)
    keep = keras.callbacks.ModelCheckpoint(
        path, "val_bound_per_step", mode="max", save_best_only=True
    )
    stop = keras.callbacks.EarlyStopping(
        "val_bound_per_step",
        mode="max",
        patience=1,
        restore_best_weights=True,
    )
    history = made.fit(
        whole, validation_data=whole, epochs=5, callbacks=[keep, stop], **QUIET
    ).history["val_bound_per_step"]
    assert len(history) < 5
    loaded = keras.saving.load_model(path)
    assert_same(weights(loaded), weights(made), 0)
    found = loaded.evaluate(whole, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["bound_per_step"], max(history), 1e-6)


def test_tensorboard_writes_its_logs(tmp_path, backend_name):
    if backend_name != "tensorflow":
        pytest.skip("Keras writes them by TensorFlow, on every backend")
    pytest.importorskip("tensorboard")
    whole, _ = two_batches()
    made = model()
    callback = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    made.fit(whole, validation_data=whole, callbacks=[callback], **QUIET)
    for part in ("train", "validation"):
        assert list((tmp_path / part).iterdir())


class KilledError(Exception):
    """What ends a run in the middle."""


class KillInThirdEpoch(keras.callbacks.Callback):
    """Ends a run after a step that was not backed up."""

    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2:
            raise KilledError


def _run(folder, killed=False):
    generator = np.random.default_rng(0)
    parts = [
        kf.pad_sequences(
            [generator.integers(0, 2, (steps, 3)) for steps in lengths]
        )
        for lengths in ((3, 8), (7, 8))
    ]
    dataset = Batches([(part,) for part in parts])
    made = model(optimizer="adam", rate=0.01, seed=4)
    made.build((None, None, 3))
    callbacks = [keras.callbacks.BackupAndRestore(folder)]
    if killed:
        callbacks.append(KillInThirdEpoch())
    made.fit(
        dataset,
        validation_data=dataset,
        epochs=4,
        callbacks=callbacks,
        **QUIET,
    )
    return made


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path):
    expected = _run(str(tmp_path / "whole"))
    with pytest.raises(KilledError):
        _run(str(tmp_path / "killed"), killed=True)
    assert list((tmp_path / "killed").iterdir())
    found = _run(str(tmp_path / "killed"))
    assert_same(state_of(found), state_of(expected), 1e-6)
    assert differ(weights(found), weights(model()))


_ELSEWHERE = """
import sys
import keras, numpy as np
import keras_fivo as kf
model = keras.saving.load_model(sys.argv[1])
with np.load(sys.argv[2]) as file:
    arrays = dict(file)
noise = {k: arrays.pop(k) for k in ("latent", "resampling")}
result = model.filter(arrays, noise=noise)
np.save(sys.argv[3], keras.ops.convert_to_numpy(result.log_weights))
"""


@pytest.mark.slow
def test_a_file_gives_the_same_on_the_other_backends(tmp_path, backend_name):
    made = model(controls=True, evaluation_bound=kf.FIVO(3, "multinomial"))
    sequences = data(mask="entries")
    made.fit(sequences, **QUIET)
    noise = made.evaluation_bound.draw(made.cell, STEPS, BATCH, seed=1)
    expected = numpy(made.filter(sequences, noise=noise).log_weights)
    made.save(str(tmp_path / "model.keras"))
    np.savez(tmp_path / "arrays.npz", **sequences, **numpy(noise))
    repository = pathlib.Path(__file__).resolve().parents[2]
    for other in sorted({"jax", "tensorflow", "torch"} - {backend_name}):
        pytest.importorskip(other)
        environment = {**os.environ, "KERAS_BACKEND": other}
        files = [
            tmp_path / name for name in ("model.keras", "arrays.npz", other)
        ]
        subprocess.run(
            [sys.executable, "-c", _ELSEWHERE, *map(str, files)],
            env=environment,
            cwd=repository,
            check=True,
        )
        found = np.load(tmp_path / f"{other}.npy")
        np.testing.assert_allclose(found, expected, 1e-5, 1e-5)
