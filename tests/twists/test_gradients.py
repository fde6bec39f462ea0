"""What log r adds to the gradient for the model's weights."""

import pytest

from tests.twists.gradient_table import row


@pytest.mark.slow
@pytest.mark.parametrize(("power", "closer"), [(1, 1.5), (2, 0.4), (-1, 0.5)])
def test_without_log_r_it_is_nearer_to_that_of_the_expected_bound(
    power, closer
):
    """As near, within a hundredth of its length, where r is exact."""
    length, found = row(
        "exact_filtering", 16, power, moves=False, passes=8, repeats=40
    )
    kept, error = found["latents"][0]
    left_out, _ = found["none"][0]
    assert left_out < closer * kept + 3 * error + 0.01 * length * (power == 1)
