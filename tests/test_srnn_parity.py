"""The SRNN gives the numbers of the original, from its weights and noise."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.reference import original
from tests.reference.gradients import gradients

BOUNDS = [
    "elbo",
    "iwae4",
    "fivo4_never",
    "fivo4_ess",
    "fivo4_always",
    "relaxed4_ess",
    "relaxed4_always",
]


@pytest.fixture
def file(golden):
    return golden("srnn_bernoulli_filtering")


@pytest.mark.parametrize("bound", BOUNDS)
def test_bound_weights_and_decisions_equal_the_original(file, bound):
    result = original.run(file, bound, original.srnn_from(file))
    numpy = original.numpy
    np.testing.assert_allclose(
        numpy(result.log_evidence), file[f"{bound}/log_p_hat"], rtol=2e-5
    )
    active = np.arange(7)[:, None] < file["in/lengths"]
    resampled = file[f"{bound}/resampled"].astype(bool) & active
    np.testing.assert_array_equal(numpy(result.resampled).T, resampled)
    log_weights = np.moveaxis(numpy(result.log_weights), 0, 1)
    np.testing.assert_allclose(
        log_weights[active],
        file[f"{bound}/log_weights"][active],
        rtol=2e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        numpy(result.kl), file[f"{bound}/kl"], rtol=1e-4, atol=1e-5
    )


def test_the_recurrent_outputs_equal_the_original(file):
    cell = original.srnn_from(file)
    targets = file["in/targets"].astype("float32")
    active = np.arange(7)[:, None] < file["in/lengths"]
    inputs = keras.tree.map_structure(
        ops.convert_to_tensor, {"observations": targets, "active": active}
    )
    past, present, _ = cell.encode(inputs, cell.initial_observed_state(3))
    for found, name in (
        (past["hidden"], "forward_rnn_out"),
        (present, "targets_encoded"),
    ):
        np.testing.assert_allclose(
            original.numpy(found)[active],
            file[f"aux/{name}"][active],
            rtol=1e-5,
            atol=1e-6,
        )


def _original_gradients(file, bound, cell):
    """Pairs of a variable of the cell and its gradient in the original."""
    pairs = []
    for name, network in original.variable_names(cell).items():
        for i, layer in enumerate(network.dense):
            path = f"{bound}/grad/{name}/linear_{i}"
            pairs.append((layer.kernel, file[f"{path}/w"]))
            pairs.append((layer.bias, file[f"{path}/b"]))
    lstm = cell.recurrence.cell
    path = f"{bound}/grad/forward_rnn/lstm_cell"
    kernel = original.split_gates(file[f"{path}/kernel"])
    bias = original.split_gates(file[f"{path}/bias"])
    inputs = lstm.kernel.shape[0]
    pairs += [(lstm.kernel, kernel[:inputs]), (lstm.bias, bias)]
    return [*pairs, (lstm.recurrent_kernel, kernel[inputs:])]


@pytest.mark.parametrize("bound", ["elbo", "fivo4_ess", "relaxed4_always"])
def test_gradients_equal_the_original(file, bound):
    cell = original.srnn_from(file)
    lengths = ops.cast(file["in/lengths"], "float32")

    def loss():
        result = original.run(file, bound, cell)
        return -ops.mean(result.log_evidence / lengths)

    expected = _original_gradients(file, bound, cell)
    found = gradients(loss, [variable for variable, _ in expected])
    for (variable, right), gradient in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            gradient,
            right,
            rtol=1e-4,
            atol=1e-5,
            err_msg=variable.path,
        )
    assert len(expected) == len(cell.trainable_variables) == 23
