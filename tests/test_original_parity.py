"""The same numbers as the original, from its weights and noise."""

import numpy as np
import pytest

from tests.reference import original

FILES = ["vrnn_bernoulli_filtering", "vrnn_normal_prior"]
BOUNDS = [
    "elbo",
    "iwae4",
    "fivo4_never",
    "fivo4_ess",
    "fivo4_always",
    "relaxed4_ess",
    "relaxed4_always",
]


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("name", FILES)
def test_bound_weights_and_decisions_equal_the_original(golden, name, bound):
    file = golden(name)
    result = original.run(file, bound, original.vrnn_from(file))
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
        np.log(numpy(result.effective_sample_size).T[active]),
        file[f"{bound}/log_ess"][active],
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        numpy(result.kl), file[f"{bound}/kl"], rtol=1e-4, atol=1e-5
    )
