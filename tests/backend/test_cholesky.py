"""A weight that is NaN stops no step: the step finds it out itself."""

import keras
import numpy as np

from keras_fivo import backend
from tests.reference.examples import numpy
from tests.reference.gradients import gradients


def test_a_matrix_without_factor_gives_nan_and_no_error():
    good = np.array([[4, 2], [2, 3]], "float32")
    bad = np.array([[np.nan, 0], [0, 1]], "float32")
    matrices = keras.Variable(np.stack([good, bad]))
    factors = numpy(backend.cholesky(matrices.value))
    np.testing.assert_allclose(factors[0], np.linalg.cholesky(good), 1e-6)
    assert np.isnan(factors[1]).any()
    (gradient,) = gradients(
        lambda: keras.ops.sum(backend.cholesky(matrices.value)), [matrices]
    )
    assert np.isfinite(gradient[0]).all()
    assert np.isnan(gradient[1]).any()
