"""Evaluation, seeds, and bounds that are replaced."""

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
from tests.reference.examples import data, numpy, vrnn

QUIET = {"verbose": 0, "shuffle": False}


def evaluate(made, x, **options):
    """Metrics as a dict of floats."""
    return made.evaluate(x, verbose=0, return_dict=True, **options)


def test_evaluating_twice_gives_the_same_numbers():
    whole, _ = two_batches()
    made = model(bound=kf.FIVO(3, criterion="always"), rate=0.0)
    first = evaluate(made, whole, batch_size=3)
    predicted = made.predict(whole, batch_size=3, verbose=0)
    made.fit(whole, batch_size=3, **QUIET)
    made.filter(whole)
    assert evaluate(made, whole, batch_size=3) == first
    again = made.predict(whole, batch_size=3, verbose=0)
    np.testing.assert_array_equal(again, predicted)
    np.testing.assert_allclose(
        predicted.mean(), first["bound_per_sequence"], 1e-6
    )


def test_noise_among_the_inputs_is_what_is_evaluated_with():
    whole, _ = two_batches()
    made = model(evaluation_bound=kf.FIVO(3, criterion="always"))
    made.build(whole["observations"].shape)
    batch, steps = whole["observations"].shape[:2]
    noise = made.evaluation_bound.draw(
        made.cell, steps, batch, np.random.default_rng(3)
    )
    # NumPy's own numbers, whatever the backend; time comes first in them.
    shape = (steps, batch, *noise["latent"].shape[2:])
    drawn = np.random.default_rng(3).standard_normal(shape, "float32")
    np.testing.assert_array_equal(numpy(noise["latent"]).swapaxes(0, 1), drawn)
    filtered = made.filter(whole, noise=noise, bound=made.evaluation_bound)
    expected = numpy(filtered.log_evidence)
    noisy = {**whole, "noise": noise}
    found = evaluate(made, noisy, batch_size=3)["bound_per_sequence"]
    np.testing.assert_allclose(found, expected.mean(), 1e-5)
    np.testing.assert_allclose(made.predict(noisy, verbose=0), expected, 1e-5)
    halves = [{k: numpy(x)[i::2] for k, x in noise.items()} for i in (0, 1)]
    data = Batches(
        [
            {**{k: x[i::2] for k, x in whole.items()}, "noise": half}
            for i, half in enumerate(halves)
        ]
    )
    found = evaluate(made, data)["bound_per_sequence"]
    np.testing.assert_allclose(found, expected.mean(), 1e-5)
    with pytest.raises(ValueError, match=r"evaluation_bound.draw.*'latent'"):
        evaluate(made, {**whole, "noise": {"latent": noise["latent"][:, 1:]}})


def test_noise_among_the_inputs_is_what_is_trained_with():
    whole, _ = two_batches()
    batch, steps = whole["observations"].shape[:2]
    bound = kf.FIVO(3, criterion="always")
    made, other = (model(bound=bound, seed=seed) for seed in (3, 4))
    for one in (made, other):
        one.build(whole["observations"].shape)
    other.set_weights(weights(made))
    noise = bound.draw(made.cell, steps, batch, seed=5, training=True)
    expected = numpy(made.filter(whole, bound, noise=noise).log_evidence)
    noisy = {**whole, "noise": noise}
    before = weights(made)
    for one in (made, other):
        history = one.fit(noisy, batch_size=batch, **QUIET).history
        found = history["bound_per_sequence"]
        np.testing.assert_allclose(found, [expected.mean()], 1e-5)
    assert_same(weights(other), weights(made), 0)
    assert differ(weights(made), before)
    other.train_on_batch(noisy)
    with pytest.raises(ValueError, match=r"`bound.draw`.*'latent'"):
        made.fit({**whole, "noise": {"latent": noise["latent"][:, 1:]}})


def test_validation_and_what_one_looks_at_do_not_change_training():
    whole, _ = two_batches()
    made, other = model(), model()

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            made.log_evidence(whole)
            made.sample(2)

    made.fit(
        whole, validation_data=whole, epochs=2, callbacks=[Look()], **QUIET
    )
    other.fit(whole, epochs=2, **QUIET)
    assert_same(weights(made), weights(other), 0)


def test_seeds_repeat_and_are_apart():
    whole, _ = two_batches()
    trained = []
    for seed in (0, 0, 1):
        made = model(seed=seed)
        made.fit(whole, **QUIET)
        trained.append(weights(made))
    assert_same(trained[0], trained[1], 0)
    assert differ(trained[0], trained[2])


def test_neighbouring_seeds_share_no_noise():
    cell = vrnn(controls=False)
    drawn = []
    for seed in (0, 1, 2, 3):
        made = kf.LatentSequenceModel(cell, kf.FIVO(4), seed=seed)
        for generator in (made.seed_generator, made.filter_seed_generator):
            drawn += [
                numpy(made.bound.draw(cell, 5, 2, generator)["latent"]).ravel()
                for _ in range(3)
            ]
    values = np.concatenate(drawn)
    # Of 1,920 float32 Normals a few may be equal by chance, not a fifth.
    assert len(np.unique(values)) > 0.99 * len(values)


def test_training_filtering_and_evaluation_share_no_noise():
    cell = vrnn(controls=False)
    made = kf.LatentSequenceModel(cell, kf.FIVO(4), seed=0, evaluation_seed=0)
    made._restart_evaluation_noise()
    drawn = [
        numpy(made.bound.draw(cell, 5, 2, generator)["latent"]).ravel()
        for generator in (
            made.seed_generator,
            made.filter_seed_generator,
            made.evaluation_seed_generator,
        )
    ]
    assert len(np.unique(drawn)) == np.size(drawn)


def test_without_a_seed_noise_is_new():
    sequences = data(controls=False)
    made = [model(seed=None, evaluation_seed=None) for _ in range(2)]
    found = [evaluate(made[i], sequences)["loss"] for i in (0, 0, 1)]
    assert len(set(found)) == 3


def test_a_bound_is_replaced_at_once():
    whole, _ = two_batches()
    made = model(bound=kf.FIVO(2, criterion="never"))
    first = evaluate(made, whole)
    made.fit(whole, **QUIET)
    made.evaluation_bound = kf.FIVO(32, criterion="always")
    many = evaluate(made, whole)
    assert many["ess"] > 2 >= first["ess"]
    assert many["resampling_rate"] == 1.0
    assert made.predict(whole, verbose=0).shape == (6,)
    assert made.filter(whole).log_weights.shape[-1] == 32
    assert made.bound.num_particles == 2
    logs = made.fit(whole, **QUIET).history
    assert logs["resampling_rate"] == [0.0]
    made.bound = kf.FIVO(3, criterion="always")
    logs = made.fit(whole, validation_data=whole, **QUIET).history
    assert logs["resampling_rate"] == [1.0]
    assert logs["ess"][0] <= 3 and logs["val_ess"][0] > 3
    made.evaluation_bound = None
    assert made.evaluation_bound is made.bound
    assert evaluate(made, whole)["ess"] <= 3


class Every(kf.Criterion):
    """Resamples every so many steps; has written no `get_config`."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, log_weights, step):
        return step % self.steps == 0


@pytest.mark.one_backend
def test_each_object_of_a_users_class_is_its_own():
    made = model()
    sequences = data(controls=False)
    for steps in (1, 3, 1):
        bound = kf.FIVO(3, criterion=Every(steps))
        resampled = numpy(made.filter(sequences, bound).resampled)
        np.testing.assert_array_equal(
            resampled[0], np.arange(resampled.shape[1]) % steps == 0
        )
        made.smooth(sequences, bound=bound)
    # And equal ones share what is compiled.
    assert len(made._functions) == 4


def test_predict_and_call_give_the_log_evidence_of_each_sequence():
    made = model(controls=True)
    sequences = data()
    found = made.predict(sequences, verbose=0)
    assert found.shape == (3,)
    called = numpy(made(sequences))
    assert called.shape == (3,) and np.isfinite(called).all()
    by_array = model()
    observations = sequences["observations"]
    assert numpy(by_array(observations)).shape == (3,)
    one = by_array.predict(observations, batch_size=3, verbose=0)
    other = by_array.predict({"observations": observations}, verbose=0)
    np.testing.assert_array_equal(one, other)


def test_densities_see_observations_in_full_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    made = model(cell={"emission": "normal"}, bound="elbo")
    ones = np.ones((2, 4, 3), "float32")
    # In bfloat16 both are 1.
    found = [made.predict(x, verbose=0) for x in (ones, ones + 1e-3)]
    assert (found[0] != found[1]).all()
    np.testing.assert_allclose(*found, rtol=0.01)


def test_nan_may_stand_for_what_is_missing():
    sequences = data(controls=False, mask="entries")
    made = model()
    expected = evaluate(made, sequences)
    marked = np.where(
        sequences["mask"], sequences["observations"], np.float32(np.nan)
    )
    lengths = sequences["lengths"]
    other = model(nan_is_missing=True)
    found = evaluate(other, {"observations": marked, "lengths": lengths})
    assert_same(found, expected, 1e-6)
    with pytest.raises(ValueError, match="nan_is_missing=True"):
        evaluate(made, {"observations": marked, "lengths": lengths})


def test_adapting_takes_means_of_what_is_observed():
    sequences = data(controls=False, mask="entries")
    observed = (
        sequences["mask"]
        & (np.arange(6) < sequences["lengths"][:, None])[..., None]
    )
    kept = np.where(observed, sequences["observations"], np.nan)
    mean = np.nanmean(kept, (0, 1))
    sequences["observations"][~observed] = 77.0
    whole, in_parts = model(), model()
    whole.adapt(sequences)
    parts = [{k: v[i : i + 1] for k, v in sequences.items()} for i in range(3)]
    in_parts.adapt(Batches(parts), scale=True)
    for made in (whole, in_parts):
        np.testing.assert_allclose(numpy(made.cell.center.value), mean, 1e-6)
        bias = np.log(mean) - np.log1p(-mean)
        np.testing.assert_allclose(
            numpy(made.cell.emission.initial_bias.value), bias, 1e-5, 1e-6
        )
    np.testing.assert_allclose(numpy(in_parts.cell.scale.value), np.ones(3))


def test_the_summary_counts_parameters(capsys):
    made = model()
    made.predict(data(controls=False), verbose=0)
    lines = []
    made.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "vrnn_cell" in text
    assert f"{made.cell.count_params():,}" in text
