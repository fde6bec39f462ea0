"""Every cell and proposal of the library passes the public checks."""

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.testing import check_cell, check_proposal
from tests.reference.examples import data, vrnn

SMALL = {"latent_dim": 2, "units": 4, "hidden_units": [3]}
NUMBERS = np.random.default_rng(0).standard_normal((2, 5, 2))
CELLS = {
    "srnn": lambda: kf.SRNNCell(**SMALL, emission="normal"),
    "vrnn": lambda: kf.VRNNCell(
        **SMALL,
        emission="student_t",
        recurrent=keras.layers.GRUCell(4),
        dropout=0.3,
    ),
    "linear Gaussian": lambda: kf.LinearGaussianCell(
        2, proposal=kf.LinearFilteringProposal(5)
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "vrnn",
        *(
            pytest.param(name, marks=pytest.mark.one_backend)
            for name in CELLS
            if name != "vrnn"
        ),
    ],
)
def test_cells_hold_to_the_contract(name):
    check_cell(CELLS[name](), NUMBERS)


@pytest.mark.one_backend
def test_a_cell_with_controls_holds_to_the_contract():
    given = data(lengths=False)
    check_cell(vrnn(), given["observations"], given["controls"])


@pytest.mark.slow
def test_a_smoothing_proposal_holds_to_the_contract():
    check_proposal("smoothing")
