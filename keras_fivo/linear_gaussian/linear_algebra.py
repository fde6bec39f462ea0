"""Batched linear algebra on small matrices."""

from keras import ops

from keras_fivo.types import Tensor


def matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """`(..., m, n)` times `(..., n)`: `(..., m)`."""
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def transpose(matrix: Tensor) -> Tensor:
    """Swaps the last two axes."""
    return ops.swapaxes(matrix, -1, -2)


def symmetrize(matrix: Tensor) -> Tensor:
    """The symmetric part, which rounding leaves."""
    return 0.5 * (matrix + transpose(matrix))


def congruence(matrix: Tensor, covariance: Tensor) -> Tensor:
    """M S M', of which no rounding can make a negative diagonal of note."""
    return symmetrize(
        ops.matmul(ops.matmul(matrix, covariance), transpose(matrix))
    )


def diagonal(matrix: Tensor) -> Tensor:
    """The diagonal of each matrix, `(..., n)`."""
    return ops.diagonal(matrix, axis1=-2, axis2=-1)


def log_determinant(factor: Tensor) -> Tensor:
    """Log |L L'| from a triangular L."""
    return 2.0 * ops.sum(ops.log(diagonal(factor)), axis=-1)


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """L^-1 B for a lower triangular L."""
    return ops.solve_triangular(*_same_batch(factor, right), lower=True)


def solve_upper(factor: Tensor, right: Tensor) -> Tensor:
    """U^-1 B for an upper triangular U."""
    return ops.solve_triangular(*_same_batch(factor, right), lower=False)


def solve_positive(factor: Tensor, right: Tensor) -> Tensor:
    """(L L')^-1 B from the Cholesky factor L."""
    return solve_upper(transpose(factor), solve_lower(factor, right))


def reverse_cholesky(matrix: Tensor) -> Tensor:
    """The upper triangular U with U U' = S.

    Its inverse transposed is the Cholesky factor of S^-1.
    """
    flipped = ops.flip(matrix, axis=(-2, -1))
    return ops.flip(ops.cholesky(flipped), axis=(-2, -1))


def _same_batch(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Repeats what has fewer batch axes, or batches of one."""
    return (
        first + ops.zeros_like(second[..., :1, :1]),
        second + ops.zeros_like(first[..., :1, :1]),
    )
