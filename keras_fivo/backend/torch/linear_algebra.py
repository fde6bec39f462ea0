"""Linear algebra that meets NaN without an error."""

import torch


def cholesky(matrix: torch.Tensor) -> torch.Tensor:
    """Returns Cholesky factors, NaN where there are none.

    That a weight is NaN is for the step of training to find, which then
    changes nothing; PyTorch's own function raises an error.

    Args:
        matrix: Symmetric matrices `(..., n, n)`.
    """
    factor, fault = torch.linalg.cholesky_ex(matrix)
    failed = (fault > 0)[..., None, None] | torch.isnan(matrix)
    return torch.where(failed, torch.nan, factor)
