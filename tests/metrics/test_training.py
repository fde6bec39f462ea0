"""Sums over sums."""

import numpy as np

from keras_fivo.metrics import Ratio
from tests.reference.examples import numpy


def test_a_ratio_is_of_sums_and_nan_where_nothing_was_counted():
    ratio = Ratio()
    assert np.isnan(numpy(ratio.result()))
    ratio.update_state(0.0, 0.0)
    assert np.isnan(numpy(ratio.result()))
    ratio.update_state(3.0, 2.0)
    ratio.update_state(1.0, 6.0)
    assert numpy(ratio.result()) == 0.5
    ratio.update_state(np.inf, 1.0)
    assert numpy(ratio.result()) == np.inf
