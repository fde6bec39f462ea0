"""Observations in units of their own, and what `fit` says of absurd bounds."""

import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.latent_sequence_model.callbacks import FirstBound
from tests.reference.examples import numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 5, 2)).astype("float32")
LOC, SCALE = np.float32([15000.0, -0.25]), np.float32([3000.0, 0.125])
NOISE: dict = {}


def adapted(emission, observations, **options):
    """A model of the same weights whatever the data it is adapted to."""
    keras.utils.set_random_seed(5)
    cell = kf.VRNNCell(2, 3, emission=emission, **options)
    model = kf.LatentSequenceModel(cell, kf.FIVO(2), seed=0)
    model.adapt(observations)
    return model


def evidence(model, observations):
    if not NOISE:
        NOISE.update(kf.FIVO(2).draw(model.cell, 5, 3, seed=1))
    result = model.bound(model.cell, observations, noise=NOISE)
    return numpy(result.log_evidence)


@pytest.mark.parametrize(
    ("make", "keeps_mass"),
    [
        (lambda _: kf.NormalHead(), False),
        (lambda _: kf.StudentTHead(max_scale=4.0), False),
        (lambda _: kf.NormalMixtureHead(num_components=3), False),
        # Probabilities, not densities: units change nothing.
        (lambda unit: kf.QuantizedNormalHead(width=0.125 * unit), True),
    ],
)
def test_units_change_the_bound_by_the_log_of_their_ratio(make, keeps_mass):
    x = np.round(X * 8) / 8
    unit = 2.0**10
    plain = evidence(adapted(make(1.0), x), x)
    scaled = evidence(adapted(make(unit), unit * x + 3), unit * x + 3)
    difference = 0.0 if keeps_mass else 5 * 2 * np.log(unit)
    np.testing.assert_allclose(plain - scaled, difference, rtol=2e-5, atol=2e-4)


def test_each_feature_has_its_own_units_and_so_has_the_twist():
    moved = LOC + SCALE * X
    plain = adapted("normal", X, twist="one_step")
    scaled = adapted("normal", moved, twist="one_step")
    difference = evidence(plain, X) - evidence(scaled, moved)
    expected = 5 * np.log(np.prod(SCALE))
    np.testing.assert_allclose(difference, expected, atol=0.02)
    head = scaled.cell.twist.head
    np.testing.assert_allclose(numpy(head.scale.value), moved.std((0, 1)), 1e-5)


def test_what_does_not_change_and_what_is_no_number_have_the_scale_one():
    constant = np.concatenate([X, np.full_like(X[..., :1], 1e6)], -1)
    model = adapted("normal", constant)
    found = numpy(model.cell.emission.scale.value)
    np.testing.assert_allclose(found, [*X.std((0, 1)), 1.0], 1e-5)
    for emission in ("bernoulli", "categorical"):
        model = adapted(emission, (X > 0).astype("float32"))
        assert np.all(numpy(model.cell.scale.value) == 1)


@pytest.mark.parametrize("emission", ["poisson", "negative_binomial"])
def test_large_counts_have_a_bound_near_that_of_their_marginal(emission):
    counts = RNG.poisson(1670.0, size=(3, 40, 1)).astype("float32")
    model = adapted(emission, counts)
    bound = kf.ELBO()(model.cell, counts, seed=0).log_evidence
    # Their entropy is 5.1; without scales it is near -2e6 for the Poisson.
    assert numpy(bound).mean() / 40 > -9


def test_a_negative_binomial_starts_at_the_variance_of_the_data():
    mean, deviation = np.array([8.0, 3.0]), np.array([12.0, 1.0])
    head = kf.NegativeBinomialHead(2)
    head.build([1], hidden_units=[])
    head.adapt(mean, deviation)
    start = head.parametrize(keras.ops.zeros((1, 4)))
    total = numpy(start.total_count)[0]
    variance = mean + mean**2 / total
    np.testing.assert_allclose(variance[0], 144.0, rtol=1e-4)
    # Less than a Poisson's is beyond it: nearly a Poisson.
    assert 3.0 < variance[1] < 3.01


def test_files_of_before_there_was_a_scale_give_the_same_numbers(tmp_path):
    path = tmp_path / "model.keras"
    cell = kf.VRNNCell(2, 3, emission=kf.NormalHead(adaptive=False))
    model = kf.LatentSequenceModel(cell, kf.FIVO(2), seed=0)
    model.adapt(X)
    model.save(path)
    old = tmp_path / "old.keras"
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(old, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            if name == "config.json":
                text = content.decode().replace('"adaptive": false, ', "")
                text = text.replace(', "adaptive": false', "")
                assert "adaptive" not in text
                content = json.dumps(json.loads(text)).encode()
            made.writestr(name, content)
    loaded = keras.saving.load_model(old)
    assert loaded.cell.emission.adaptive
    np.testing.assert_array_equal(evidence(loaded, X), evidence(model, X))
    loaded.adapt(X)
    loaded.save(path)
    again = keras.saving.load_model(path)
    np.testing.assert_array_equal(evidence(again, X), evidence(loaded, X))
    assert not np.array_equal(evidence(again, X), evidence(model, X))


def fitted(model, observations, **options):
    # Step by step JAX takes longer than to compile them all.
    compiled = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.SGD(0.0), jit_compile=compiled)
    return model.fit(observations, batch_size=3, verbose=0, **options)


def test_an_absurd_first_bound_is_told_when_training_begins():
    observations = LOC + SCALE * X
    cell = kf.VRNNCell(1, 2, emission="normal")
    model = kf.LatentSequenceModel(cell, kf.ELBO(), seed=0)
    with pytest.warns(UserWarning, match="first bound is absurd: -.*adapt"):
        fitted(model, observations)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scale": False}, "with `scale=True`"),
        ({}, "look for outliers"),
    ],
)
def test_the_reason_of_an_absurd_bound_is_what_the_model_knows(options, reason):
    cell = kf.VRNNCell(1, 2, emission="normal")
    model = kf.LatentSequenceModel(cell, kf.ELBO(), seed=0)
    model.adapt(LOC + SCALE * X, **options)
    check = FirstBound(cell)
    with pytest.warns(UserWarning, match=f"-1e.05 nats.*{reason}"):
        check.on_train_batch_end(0, {"bound_per_step": -1e5})
    check.on_train_batch_end(1, {"bound_per_step": -1e5})
    with pytest.warns(UserWarning, match="Or an entry is NaN or infinite"):
        FirstBound(cell).on_train_batch_end(0, {"bound_per_step": -np.inf})
    FirstBound(cell).on_train_batch_end(0, {"bound_per_step": -199.0})


def test_callbacks_know_which_way_the_metrics_are_better():
    observations = LOC + SCALE * X
    cell = kf.VRNNCell(1, 2, emission="normal")
    model = kf.LatentSequenceModel(cell, kf.ELBO(), seed=0)
    model.adapt(observations)
    stops = [
        keras.callbacks.EarlyStopping(monitor=name, patience=9)
        for name in ("val_bound_per_step", "ess", "val_loss")
    ]
    with warnings.catch_warnings(record=True) as told:
        fitted(
            model, observations, validation_data=observations, callbacks=stops
        )
    assert not [w for w in told if "absurd" in str(w.message)]
    assert [stop.mode for stop in stops] == ["max", "max", "min"]
    ways = {m.name: m._direction for m in model.metrics}
    assert ways["bound_per_step"] == "up" and ways["loss"] == "down"
    assert ways["resampling_rate"] is None
