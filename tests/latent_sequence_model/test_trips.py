"""What users of Keras try first."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from tests.reference.examples import numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 2)).astype("float32")


def small(**options):
    cell = kf.VRNNCell(1, 2, emission="normal", **options)
    return kf.LatentSequenceModel(cell, kf.ELBO(), seed=0)


@pytest.fixture(scope="module")
def made():
    model = small()
    model.adapt(X)
    # Step by step JAX takes longer than to compile them all.
    compiled = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.SGD(0.0), jit_compile=compiled)
    return model


def test_a_recurrent_cell_comes_by_name_from_a_layer_or_as_it_is():
    by_name = kf.VRNNCell(2, 5, recurrent="gru").recurrence
    assert type(by_name.cell) is keras.layers.GRUCell
    assert by_name.output_dim == 5
    for cell in (kf.VRNNCell, kf.SRNNCell):
        made = cell(2, 5, recurrent=keras.layers.GRU(7))
        assert made.recurrence.output_dim == 7
        copy = cell.from_config(made.get_config())
        assert copy.recurrence.output_dim == 7
        assert type(copy.recurrence.cell) is keras.layers.GRUCell


@pytest.mark.parametrize(
    ("recurrent", "error", "received"),
    [
        ("transformer", ValueError, "transformer"),
        (keras.layers.LSTM(2, go_backwards=True), ValueError, "<LSTM"),
        (keras.layers.Dense(2), TypeError, "<Dense"),
        (7, TypeError, "7"),
    ],
)
def test_what_is_no_recurrent_cell_is_refused(recurrent, error, received):
    with pytest.raises(error, match=f"Received: recurrent=.*{received}"):
        kf.VRNNCell(2, recurrent=recurrent)


@pytest.mark.parametrize(
    ("bad", "received"),
    [
        (np.array([[["a", "b"]]]), "observations of dtype <U1"),
        (np.array([[["1", 2.0]]], object), "observations of dtype object"),
        (
            np.zeros((1, 2, 2), "datetime64[D]"),
            "observations of dtype datetime",
        ),
        ({"observations": X, "mask": np.full((4, 6), "y")}, "mask of dtype"),
    ],
)
def test_what_is_no_number_is_refused(made, bad, received):
    for verb in (made.fit, made.evaluate, made.predict, made.filter):
        with pytest.raises(TypeError, match=f"Received: {received}"):
            verb(bad)


@pytest.mark.parametrize(
    "hidden", [{"mask": np.zeros((4, 6), bool)}, {"lengths": np.zeros(4, int)}]
)
def test_training_on_nothing_is_refused_and_evaluating_it_gives_nan(
    made, hidden
):
    (name,) = hidden
    with pytest.raises(ValueError, match=f"Received: {name} of shape"):
        made.fit({"observations": X, **hidden})
    found = made.evaluate(
        {"observations": X, **hidden}, verbose=0, return_dict=True
    )
    assert np.isnan(found["loss"]) and np.isnan(found["bound_per_step"])


def test_empty_sequences_are_padded_and_count_for_nothing(made):
    padded = kf.pad_sequences([np.zeros((0, 2)), X[0], X[1, :3]])
    assert padded["lengths"].tolist() == [0, 6, 3]
    assert made.predict(padded, verbose=0)[0] == 0
    with pytest.raises(ValueError, match=r"shape \(1, 0, 2\)"):
        made.predict(kf.pad_sequences([np.zeros((0, 2))]))


def test_the_model_is_a_layer_of_a_functional_model(made):
    inputs = keras.Input((6, 2))
    outer = keras.Model(inputs, made(keras.layers.Identity()(inputs)))
    assert outer.output_shape == (None,)
    found = numpy(outer(X))
    assert found.shape == (4,) and np.all(np.isfinite(found))


def test_missing_steps_at_the_end_are_told_or_counted():
    model = small()
    gone = X.copy()
    gone[2, 4:] = np.nan
    model.nan_is_missing = True
    model.adapt(gone)
    with pytest.warns(UserWarning, match="1 sequences, up to 2, are not obs"):
        model.forecast(gone, 1, num_samples=2)
    told = {"observations": gone, "lengths": np.full(4, 6)}
    model.forecast(told, 1, num_samples=2)
