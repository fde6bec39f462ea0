"""Checks that a cell, a proposal or a distribution of one's own can be held to.

Each raises an `AssertionError` that names the property which does not hold:

    from keras_fivo.testing import check_cell

    def test_my_cell():
        check_cell(MyCell(latent_dim=2), observations)
"""

from keras_fivo.testing.cells import check_cell as check_cell
from keras_fivo.testing.cells import check_proposal as check_proposal
from keras_fivo.testing.distributions import (
    check_distribution as check_distribution,
)
