"""Training: every form of data, and what a step moves."""

import itertools

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import (
    METRICS,
    Batches,
    assert_same,
    differ,
    model,
    two_batches,
    weights,
)
from tests.reference.examples import data, vrnn

QUIET = {"verbose": 0, "shuffle": False}


def _as_tf_data(parts):
    tf = pytest.importorskip("tensorflow")

    def take(index):
        return tf.data.Dataset.from_tensors(parts[index])

    return take(0).concatenate(take(1))


def _as_data_loader(parts):
    torch = pytest.importorskip("torch")
    whole = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    rows = [{k: v[i] for k, v in whole.items()} for i in range(6)]
    return torch.utils.data.DataLoader(rows, batch_size=3)


FORMS = {
    "PyDataset": Batches,
    "PyDataset of tuples": lambda parts: Batches([(part,) for part in parts]),
    "PyDataset of weighted dicts": lambda parts: Batches(
        [{**part, "sample_weight": np.ones(3)} for part in parts]
    ),
    "tf.data": _as_tf_data,
    "DataLoader": _as_data_loader,
    "generator": lambda parts: (part for part in itertools.cycle(parts)),
}
BACKENDS = {"tf.data": "tensorflow", "DataLoader": "torch"}


@pytest.fixture(scope="module")
def expected():
    """Weights and metrics after two steps on arrays, by the same noise."""
    whole, _ = two_batches(controls=True)
    made = model(controls=True)
    before = weights(made)
    history = made.fit(
        whole, validation_data=whole, batch_size=3, **QUIET
    ).history
    assert set(history) == METRICS | {f"val_{name}" for name in METRICS}
    assert differ(before, weights(made))
    return weights(made), {name: x[0] for name, x in history.items()}


@pytest.mark.one_backend
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_trains_the_same(form, expected, backend_name):
    if BACKENDS.get(form, backend_name) != backend_name:
        pytest.skip(f"{form} is for {BACKENDS[form]}")
    _, parts = two_batches(controls=True)
    made = model(controls=True)
    endless = {"steps_per_epoch": 2, "validation_steps": 2}
    history = made.fit(
        FORMS[form](parts),
        validation_data=FORMS[form](parts),
        **(endless if form == "generator" else {}),
        **QUIET,
    ).history
    assert_same(weights(made), expected[0])
    assert_same({k: x[0] for k, x in history.items()}, expected[1], 1e-5)


@pytest.mark.one_backend
def test_an_array_and_a_dict_of_it_train_the_same():
    observations = data(controls=False)["observations"]
    found = []
    for x, validation in (
        (observations, (observations, None)),
        ({"observations": observations}, observations),
    ):
        made = model()
        history = made.fit(x, validation_data=validation, **QUIET).history
        found.append((weights(made), history["val_loss"]))
    assert_same(found[0][0], found[1][0], 0)
    assert found[0][1] == found[1][1]


def test_batches_of_a_data_loader_may_be_lists(backend_name):
    if backend_name != "torch":
        pytest.skip("DataLoader is for torch")
    torch = pytest.importorskip("torch")
    observations = data(controls=False)["observations"]
    made, other = model(), model()
    tensors = torch.utils.data.TensorDataset(torch.tensor(observations))
    loader = torch.utils.data.DataLoader(tensors, batch_size=3)
    made.fit(loader, **QUIET)
    other.fit(observations, **QUIET)
    assert_same(weights(made), weights(other), 0)


@pytest.mark.one_backend
def test_a_data_loader_yields_tensors_or_dicts():
    torch = pytest.importorskip("torch")
    observations = data(controls=False)["observations"]
    rows, made = torch.tensor(observations), model()
    expected = made.predict(observations, batch_size=3, verbose=0)
    for dataset in (rows, [{"observations": row} for row in rows]):
        loader = torch.utils.data.DataLoader(dataset, batch_size=3)
        assert_same(made.predict(loader, verbose=0), expected, 0)


@pytest.mark.one_backend
def test_batches_of_unequal_lengths_train():
    generator = np.random.default_rng(0)
    parts = [
        kf.pad_sequences(
            [generator.integers(0, 2, (steps, 3)) for steps in lengths]
        )
        for lengths in ((2, 4), (7, 8))
    ]
    assert [x["observations"].shape[1] for x in parts] == [4, 8]
    dataset = Batches([(part,) for part in parts])
    made = model()
    before = weights(made)
    history = made.fit(
        dataset, validation_data=dataset, epochs=2, **QUIET
    ).history
    assert differ(before, weights(made))
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["val_bound_per_step"]).all()
    assert made.predict(dataset, verbose=0).shape == (2 * len(dataset),)


def test_targets_are_refused_before_any_training():
    observations = data(controls=False)["observations"]
    made = model()
    before = weights(made)
    for arguments in (
        {"x": observations, "y": observations},
        {"x": Batches([(observations, observations)])},
        {
            "x": observations,
            "validation_data": (observations, observations),
        },
    ):
        with pytest.raises(ValueError, match="Received: y of type ndarray"):
            made.fit(**arguments, verbose=0)
    with pytest.raises(ValueError, match="Received: y of type ndarray"):
        made.evaluate(observations, observations)
    with pytest.raises(ValueError, match="Received: a tuple of length 3"):
        made.fit(Batches([(observations, None, np.ones(3))]), verbose=0)
    assert not differ(before, weights(made))


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_losses_and_metrics_of_keras_are_refused(name):
    made = model()
    value = "mse" if name == "loss" else ["mse"]
    made.compile("sgd", **{name: value})
    with pytest.raises(ValueError, match=f"Received: {name}="):
        made.fit(data(controls=False), verbose=0)


@pytest.mark.one_backend
def test_validation_may_be_split_off():
    whole, parts = two_batches()
    made, other = model(), model()
    split = made.fit(whole, validation_split=0.5, batch_size=3, **QUIET).history
    given = other.fit(parts[0], validation_data=parts[1], **QUIET).history
    assert_same(weights(made), weights(other))
    assert_same(split, given, 1e-6)


def test_compiled_steps_equal_plain_ones(backend_name):
    if backend_name != "jax":
        pytest.skip("compiled steps draw other noise: see tests/backend")
    _, parts = two_batches()
    found = []
    for jit_compile in (False, True):
        made = model(jit_compile=jit_compile, optimizer="adam", rate=0.01)
        # Two lengths: what compiles per shape must compile twice.
        short = {**parts[1], "observations": parts[1]["observations"][:, :5]}
        short["lengths"] = np.minimum(short["lengths"], 5)
        dataset = Batches([parts[0], short])
        history = made.fit(dataset, validation_data=dataset, **QUIET).history
        found.append((weights(made), history))
    assert_same(found[1][0], found[0][0], 1e-4)
    assert_same(found[1][1], found[0][1], 1e-4)


def test_several_steps_may_be_run_at_once(backend_name):
    _, parts = two_batches()
    made = model(steps_per_execution=2)
    if backend_name == "torch":
        with pytest.raises(ValueError, match="Received: steps_per_execution=2"):
            made.fit(Batches(parts), **QUIET)
        return
    other = model()
    made.fit(Batches(parts), epochs=2, **QUIET)
    other.fit(Batches(parts), epochs=2, **QUIET)
    assert_same(weights(made), weights(other))


def test_gradients_are_clipped():
    sequences = data(controls=False)
    optimizer = keras.optimizers.SGD(global_clipnorm=0.01)
    made = model(cell=vrnn(controls=False), optimizer=optimizer, rate=1.0)
    before = weights(made)
    made.fit(sequences, **QUIET)
    squares = [
        np.square(a - b).sum()
        for a, b in zip(weights(made), before, strict=True)
    ]
    np.testing.assert_allclose(np.sqrt(np.sum(squares)), 0.01, 1e-4)


def test_frozen_parts_are_not_moved():
    made = model()
    made.cell.emission.trainable = False
    made.compile(keras.optimizers.Adam(0.1), jit_compile=made.jit_compile)
    frozen = [keras.ops.convert_to_numpy(v) for v in made.cell.emission.weights]
    before = weights(made)
    made.fit(data(controls=False), **QUIET)
    after = [keras.ops.convert_to_numpy(v) for v in made.cell.emission.weights]
    assert frozen and not differ(frozen, after)
    assert differ(before, weights(made))


@pytest.fixture(scope="module")
def in_full_precision():
    """What training tells of each epoch."""
    made = model(optimizer="adam", rate=0.01)
    return made.fit(data(controls=False), epochs=6, **QUIET).history


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_in_full_log_weights(policy, in_full_precision):
    sequences, expected = data(controls=False), in_full_precision
    keras.config.set_dtype_policy(policy)
    made = model(optimizer="adam", rate=0.01)
    scaled = isinstance(made.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    before = weights(made)
    history = made.fit(sequences, epochs=6, **QUIET).history
    assert differ(before, weights(made))
    assert all(x.dtype == "float32" for x in weights(made))
    # Later, steps that the loss scale had to skip tell.
    np.testing.assert_allclose(
        history["bound_per_step"][:2], expected["bound_per_step"][:2], atol=0.05
    )
    assert np.isfinite(history["bound_per_step"]).all()
    result = made.filter(sequences)
    for name in ("log_evidence", "log_weights", "effective_sample_size"):
        value = getattr(result, name)
        assert keras.backend.standardize_dtype(value.dtype) == "float32", name
    keras.config.set_dtype_policy("float32")
    plain = model()
    for variable, value in zip(plain.weights, weights(made), strict=True):
        variable.assign(value)
    noise = plain.bound.draw(plain.cell, 6, 3, seed=1)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(
            made.filter(sequences, noise=noise).log_evidence
        ),
        keras.ops.convert_to_numpy(
            plain.filter(sequences, noise=noise).log_evidence
        ),
        0.1,
    )


@pytest.mark.parametrize(
    ("bound", "rate"),
    [
        ("elbo", 0.0),
        pytest.param("iwae", 0.0, marks=pytest.mark.one_backend),
        (kf.FIVO(3, "multinomial", "always"), 1.0),
    ],
)
def test_models_train_whether_or_not_they_resample(bound, rate):
    whole, _ = two_batches()
    made = model(bound=bound)
    before = weights(made)
    logs = made.fit(whole, batch_size=3, **QUIET).history
    assert differ(before, weights(made))
    assert logs["resampling_rate"] == [rate]
