"""Dead sequences, NaN and padding: what they must not do."""

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
from tests.reference.examples import FEATURES, data, numpy, vrnn

# The first bound of these is meant to be absurd.
pytestmark = pytest.mark.filterwarnings("ignore:The first bound is absurd")
QUIET = {"verbose": 0, "shuffle": False}


def evaluate(made, x, **options):
    """Metrics as a dict of floats."""
    return made.evaluate(x, verbose=0, return_dict=True, **options)


def with_a_dead_sequence(**options):
    """Sequences of which the first is too far away for any particle."""
    sequences = data(controls=False)
    sequences["observations"][0, 2] = 1e25
    cell = vrnn(controls=False, emission="normal")
    return model(cell=cell, **options), sequences


def some(sequences, rows):
    """Some of the sequences."""
    return {name: value[rows] for name, value in sequences.items()}


def test_evaluation_of_a_dead_sequence_is_infinitely_bad():
    made, sequences = with_a_dead_sequence()
    found = evaluate(made, sequences)
    assert found["loss"] == np.inf
    assert found["dead_sequences"] == 1.0
    assert found["bound_per_step"] == found["bound_per_sequence"] == -np.inf
    assert found["skipped_updates"] == 0.0
    alive = evaluate(made, sequences, sample_weight=np.array([0.0, 1.0, 1.0]))
    assert np.isfinite(alive["loss"])
    assert alive["dead_sequences"] == 1.0


def test_training_counts_a_dead_sequence_and_goes_on():
    made, sequences = with_a_dead_sequence()
    before = weights(made)
    logs = made.fit(sequences, **QUIET).history
    assert logs["dead_sequences"] == [1.0]
    assert logs["skipped_updates"] == [0.0]
    assert logs["bound_per_step"] == [-np.inf]
    assert np.isfinite(logs["loss"]).all()
    assert differ(before, weights(made))
    assert all(np.isfinite(x).all() for x in weights(made))


class Breaks(keras.callbacks.Callback):
    """Makes a weight NaN for an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        bias = self.model.cell.transition.trainable_variables[-1]
        if epoch == 0:
            self.good = numpy(bias.value)
        broken = np.full_like(self.good, np.nan)
        bias.assign(broken if epoch == self.epoch else self.good)


@pytest.mark.parametrize(
    "epoch", [0, pytest.param(1, marks=pytest.mark.one_backend)]
)
def test_a_broken_model_is_never_the_best(epoch, tmp_path):
    whole, _ = two_batches()
    made = model(rate=0.0)
    good = weights(made)
    path = str(tmp_path / "best.weights.h5")
    stops = [
        keras.callbacks.EarlyStopping(monitor, patience=5, mode=mode)
        for monitor, mode in (
            ("val_loss", "min"),
            ("val_bound_per_step", "max"),
        )
    ]
    saves = keras.callbacks.ModelCheckpoint(
        path, save_best_only=True, save_weights_only=True
    )
    history = made.fit(
        whole,
        validation_data=whole,
        epochs=2,
        callbacks=[Breaks(epoch), saves, *stops],
        **QUIET,
    ).history
    assert history["val_loss"][epoch] == np.inf
    assert history["val_bound_per_step"][epoch] == -np.inf
    assert history["val_dead_sequences"][epoch] == 6.0
    assert [stop.best_epoch for stop in stops] == [1 - epoch] * 2
    made.load_weights(path)
    assert_same(weights(made), good, 0)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    "jit_compile",
    [pytest.param(False, marks=pytest.mark.one_backend), True],
)
def test_a_batch_of_dead_sequences_moves_nothing(
    scaled, jit_compile, backend_name
):
    if jit_compile and backend_name == "torch":
        pytest.skip("torch compiles no steps of training")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 8.0)
    made, sequences = with_a_dead_sequence()
    made.compile(optimizer, jit_compile=jit_compile)
    made.fit(some(sequences, slice(1, 2)), **QUIET)
    variables = [*made.weights, *optimizer.variables]
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    logs = made.fit(some(sequences, slice(0, 1)), **QUIET).history
    assert logs["skipped_updates"] == logs["dead_sequences"] == [1.0]
    assert np.isnan(logs["loss"]).all()
    after = [keras.ops.convert_to_numpy(v) for v in variables]
    assert_same(after, before, 0)
    made.fit(some(sequences, slice(1, 2)), **QUIET)
    assert differ(before, [keras.ops.convert_to_numpy(v) for v in variables])


def test_where_no_step_is_observed_there_is_no_loss():
    made = model(optimizer="adam")
    observations = data(controls=False)["observations"]
    nothing = {
        "observations": observations,
        "mask": np.zeros(observations.shape[:2], bool),
    }
    before = weights(made)
    found = evaluate(made, nothing)
    for name in ("loss", "bound_per_step", "bound_per_sequence", "ess"):
        assert np.isnan(found[name]), name
    assert found["dead_sequences"] == found["skipped_updates"] == 0.0
    with pytest.raises(ValueError, match=r"one observed entry. Received: mask"):
        made.fit(nothing, **QUIET)
    # A batch of a data set is not looked into.
    logs = made.fit(Batches([nothing]), **QUIET).history
    assert np.isnan(logs["loss"]).all()
    assert logs["skipped_updates"] == [1.0]
    assert_same(weights(made), before, 0)
    assert not numpy(made.log_evidence(nothing)).any()


def growing_chain(bound):
    """A model of a chain that grows by half in each step it does not see."""
    parameters = {"transition_matrix": [[1.5]], "emission_matrix": [[1.0]]}
    cell = kf.LinearGaussianCell(1, parameters, proposal="exact_filtering")
    made = model(cell=cell, bound=bound, rate=0.01)
    made.build((None, None, 1))
    return made


@pytest.mark.one_backend
@pytest.mark.parametrize("bound", [kf.FIVO(4), kf.IWAE(4)])
def test_what_runs_on_beyond_its_end_harms_nothing(bound, monkeypatch):
    generator = np.random.default_rng(0)
    sequences = {
        "observations": generator.standard_normal((2, 500, 1)),
        "lengths": np.array([5, 500]),
    }
    made, still = growing_chain(bound), growing_chain(bound)
    logs = made.fit(sequences, **QUIET).history
    run = kf.bounds.Bound.run

    def keep_still(*arguments, **options):
        return run(*arguments, **{**options, "keep_state": True})

    monkeypatch.setattr(kf.bounds.Bound, "run", keep_still)
    expected = still.fit(sequences, **QUIET).history
    assert logs["skipped_updates"] == [0.0]
    assert np.isfinite(logs["loss"]).all()
    np.testing.assert_allclose(logs["loss"], expected["loss"], 1e-5)
    assert_same(weights(made), weights(still), 1e-5)
    assert differ(weights(made), weights(growing_chain(bound)))


def test_of_a_dead_prefix_there_is_nothing_to_forecast():
    made, sequences = with_a_dead_sequence()
    samples = numpy(made.sample(4, 2, prefix=sequences))
    future = made.forecast(sequences, 4, num_samples=2)
    for values in (
        samples.reshape(3, -1),
        numpy(future.samples).reshape(3, -1),
        numpy(future.means).reshape(3, -1),
        numpy(future.quantiles).swapaxes(0, 1).reshape(3, -1),
    ):
        assert values.shape[1] >= 4 * FEATURES
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1:]).all()
