"""Products with weights, outside a scan and declared to one."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo import backend


def test_parts_are_multiplied_with_their_rows_of_the_kernels_and_added():
    generator = np.random.default_rng(0)
    first, second = (
        generator.normal(size=shape).astype("float32")
        for shape in ((6, 3), (2, 3))
    )
    bias = np.arange(3.0, dtype="float32")
    rows = [
        generator.normal(size=(4, 5, n)).astype("float32") for n in (2, 1, 2)
    ]
    kernel = keras.Variable(first)
    found = backend.linear(
        [
            (ops.convert_to_tensor(rows[0]), kernel, 1),
            (ops.convert_to_tensor(rows[1]), kernel, 3),
            (ops.convert_to_tensor(rows[2]), keras.Variable(second), 0),
        ],
        keras.Variable(bias),
    )
    expected = rows[0] @ first[1:3] + rows[1] @ first[3:4] + rows[2] @ second
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), expected + bias, 1e-5, 1e-5
    )


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="not yet declared on PyTorch"
)
def test_training_lifts_the_products_of_the_step():
    cell = kf.VRNNCell(latent_dim=3, emission="bernoulli")
    model = kf.LatentSequenceModel(cell, bound=kf.FIVO(2), seed=0)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=False)
    before = backend.lifted_products()
    model.fit(np.ones((2, 3, 4), "float32"), verbose=0)
    # LSTM 1, and 2 each of transition, proposal, latent encoder, emission.
    assert backend.lifted_products() - before == 9
