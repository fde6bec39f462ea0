"""The loss and the metrics, exactly; steps that must not be taken."""

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
    without_latents,
)
from tests.reference.examples import FEATURES, numpy, vrnn

QUIET = {"verbose": 0, "shuffle": False}


def evaluate(made, *arguments, **options):
    """Metrics as a dict of floats."""
    return made.evaluate(*arguments, verbose=0, return_dict=True, **options)


def log_evidences(made, sequences):
    """Exact ones, of a model `without_latents`."""
    return numpy(made.log_evidence(sequences))


@pytest.mark.parametrize("loss_per", ["step", "sequence"])
def test_loss_and_metrics_are_what_they_say(loss_per):
    made = without_latents(loss_per=loss_per)
    whole, _ = two_batches()
    lengths = whole["lengths"]
    bounds = log_evidences(made, whole)
    found = evaluate(made, whole, batch_size=6)
    each = bounds / lengths if loss_per == "step" else bounds
    expected = {
        "loss": -each.mean(),
        "bound_per_step": bounds.sum() / lengths.sum(),
        "bound_per_sequence": bounds.mean(),
        "kl_per_step": 0.0,
        "ess": 2.0,
        "resampling_rate": 0.0,
        "dead_sequences": 0.0,
        "skipped_updates": 0.0,
    }
    assert_same(found, expected, 1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize("loss_per", ["step", "sequence"])
def test_metrics_do_not_depend_on_batches_nor_on_padding(loss_per):
    made = without_latents(loss_per=loss_per)
    whole, parts = two_batches()
    expected = evaluate(made, whole, batch_size=6)
    assert_same(evaluate(made, whole, batch_size=4), expected, 1e-5)
    # Rows of length zero, and two more steps.
    padded = {
        "observations": np.pad(
            parts[1]["observations"], [(0, 2), (0, 2), (0, 0)]
        ),
        "lengths": np.pad(parts[1]["lengths"], (0, 2)),
    }
    dataset = Batches([parts[0], padded])
    assert_same(evaluate(made, dataset), expected, 1e-5)


def test_rows_of_length_zero_change_no_update():
    _, parts = two_batches()
    padded = {
        "observations": np.pad(
            parts[0]["observations"], [(0, 2), (0, 0), (0, 0)]
        ),
        "lengths": np.pad(parts[0]["lengths"], (0, 2)),
    }
    made, other = without_latents(), without_latents()
    made.fit(parts[0], batch_size=5, **QUIET)
    other.fit(padded, batch_size=5, **QUIET)
    assert_same(weights(made), weights(other), 1e-5)


@pytest.mark.one_backend
def test_sample_weights_weigh_sequences_in_the_loss_alone():
    made = without_latents()
    whole, _ = two_batches()
    weighting = np.array([1, 0, 0.25, 0, 0, 0], "float32")
    plain = evaluate(made, whole, batch_size=6)
    each = log_evidences(made, whole) / whole["lengths"]
    for batch_size in (6, 2):
        found = evaluate(
            made, whole, sample_weight=weighting, batch_size=batch_size
        )
        expected = {**plain, "loss": -np.average(each, weights=weighting)}
        assert_same(found, expected, 1e-5)
    one = {name: value[:1] for name, value in whole.items()}
    other = without_latents()
    other.fit(one, **QUIET)
    made.fit(
        whole, sample_weight=(np.arange(6) == 0) * 0.5, batch_size=6, **QUIET
    )
    assert_same(weights(made), weights(other), 1e-5)


class PenalizedCell(kf.VRNNCell):
    """Adds one to the loss, in a place that runs in each step."""

    def encode(self, inputs, observed_state):
        self.add_loss(
            keras.ops.ones(()) + 0.0 * inputs["observations"][0, 0, 0]
        )
        return super().encode(inputs, observed_state)


def _penalized(cell_class=PenalizedCell):
    plain = vrnn(controls=False, hidden_units=[])
    cell = cell_class.from_config(plain.get_config())
    cell.build((None, None, FEATURES))
    for variable, value in zip(cell.weights, plain.weights, strict=True):
        variable.assign(value)
    return cell


@pytest.mark.parametrize(
    "jit_compile",
    [pytest.param(False, marks=pytest.mark.one_backend), True],
)
def test_added_losses_join_the_loss_and_do_not_pile_up(
    jit_compile, backend_name
):
    if jit_compile and backend_name == "torch":
        pytest.skip("torch has its own test of compiled steps")
    whole, _ = two_batches()
    plain = model(jit_compile=jit_compile)
    made = model(cell=_penalized(), jit_compile=jit_compile)
    for _ in range(2):
        expected = evaluate(plain, whole, batch_size=2)
        expected["loss"] += 1.0
        assert_same(evaluate(made, whole, batch_size=2), expected, 1e-5)
        made.filter(whole)
        expected = plain.fit(whole, batch_size=2, **QUIET).history
        found = made.fit(whole, batch_size=2, **QUIET).history
        np.testing.assert_allclose(
            found["loss"], np.add(expected["loss"], 1.0), 1e-4
        )


def test_regularizers_join_the_loss():
    made, other = without_latents(), without_latents()
    whole, _ = two_batches()
    kernel = other.cell.emission.trainable_variables[0]
    kernel.regularizer = keras.regularizers.L2(0.5)
    expected = evaluate(made, whole, batch_size=3)
    penalty = 0.5 * np.square(numpy(kernel.value)).sum()
    expected["loss"] += penalty
    assert_same(evaluate(other, whole, batch_size=3), expected, 1e-5)
    made.fit(whole, batch_size=6, **QUIET)
    other.fit(whole, batch_size=6, **QUIET)
    before = numpy(without_latents().cell.emission.trainable_variables[0].value)
    plain = numpy(made.cell.emission.trainable_variables[0].value)
    np.testing.assert_allclose(
        numpy(kernel.value), plain - 0.1 * before, 1e-4, 1e-5
    )


def _everything(made):
    return [
        keras.ops.convert_to_numpy(v)
        for v in [*made.weights, *made.optimizer.variables]
    ]


@pytest.mark.filterwarnings("ignore:The first bound is absurd")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_whose_loss_is_not_finite_moves_nothing(
    jit_compile, backend_name
):
    if jit_compile and backend_name == "torch":
        pytest.skip("torch has its own test of compiled steps")
    whole, _ = two_batches()
    made = model(optimizer="adam", jit_compile=jit_compile)
    made.fit(whole, batch_size=3, **QUIET)
    bias = made.cell.transition.trainable_variables[-1]
    good = numpy(bias.value)
    bias.assign(np.full(bias.shape, np.nan, "float32"))
    before = _everything(made)
    logs = made.fit(whole, batch_size=3, epochs=2, **QUIET).history
    assert_same(_everything(made), before, 0)
    assert logs["skipped_updates"] == [2.0, 2.0]
    bias.assign(good)
    logs = made.fit(whole, batch_size=3, **QUIET).history
    assert logs["skipped_updates"] == [0.0]
    assert differ(_everything(made)[:-3], before[:-3])
    assert all(np.isfinite(x).all() for x in weights(made))


class SharpCell(kf.VRNNCell):
    """Adds a loss of zero whose gradient is not finite."""

    def encode(self, inputs, observed_state):
        weight = self.transition.trainable_variables[0]
        root = keras.ops.sqrt(keras.ops.sum(weight * 0.0))
        self.add_loss(root)
        return super().encode(inputs, observed_state)


class SteepCell(kf.VRNNCell):
    """Adds a loss near zero whose gradients are finite, their norm not."""

    def encode(self, inputs, observed_state):
        weight = self.transition.trainable_variables[0]
        self.add_loss(1e25 * keras.ops.sum(weight - weight_of(weight)))
        return super().encode(inputs, observed_state)


def weight_of(weight):
    return keras.ops.stop_gradient(keras.ops.convert_to_tensor(weight))


@pytest.mark.parametrize("cell_class", [SharpCell, SteepCell])
def test_a_step_whose_gradient_is_not_finite_moves_nothing(cell_class):
    whole, _ = two_batches()
    optimizer = keras.optimizers.Adam(global_clipnorm=1.0)
    made = model(cell=_penalized(cell_class), optimizer=optimizer)
    made.optimizer.build(made.trainable_variables)
    before = _everything(made)
    logs = made.fit(whole, batch_size=3, **QUIET).history
    assert_same(_everything(made), before, 0)
    assert logs["skipped_updates"] == [2.0]
    assert evaluate(made, whole)["skipped_updates"] == 0.0
