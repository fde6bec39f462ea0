"""Batched linear algebra on small matrices."""

from keras import ops

from keras_fivo.types import Tensor


def matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiplies `(..., m, n)` with `(..., n)`: `(..., m)`."""
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def each_times(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Multiplies `(..., m, n)` with each of `(..., samples, n)`."""
    return ops.matmul(vectors, transpose(matrix))


def transpose(matrix: Tensor) -> Tensor:
    """Swaps the last two axes."""
    return ops.swapaxes(matrix, -1, -2)


def square(factor: Tensor) -> Tensor:
    """Returns L L'."""
    return ops.matmul(factor, transpose(factor))


def diagonal(matrix: Tensor) -> Tensor:
    """Returns the diagonal of each matrix, `(..., n)`."""
    return ops.diagonal(matrix, axis1=-2, axis2=-1)


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """Solves for L^-1 B, where L is lower triangular."""
    return ops.solve_triangular(*same_batch(factor, right), lower=True)


def solve_upper(factor: Tensor, right: Tensor) -> Tensor:
    """Solves for U^-1 B, where U is upper triangular."""
    return ops.solve_triangular(*same_batch(factor, right), lower=False)


def orthogonal_factors(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Finds Q and R with Q R = A, Q' Q = I and R upper triangular.

    Unlike the Cholesky factor of A' A, R is as precise as A: squares would
    lose what is below 1/4,000 of the largest in float32. Rows go in from the
    largest to the smallest, which keeps the small ones as precise as the
    large.

    Args:
        rows: `(..., m, n)`, m >= n, of full rank.

    Returns:
        `(..., m, n)` and `(..., n, n)`, of positive diagonal.

    Reference:
        Cox and Higham, 1998, "Stability of Householder QR Factorization for
        Weighted Least Squares Problems".
    """
    sizes = ops.sum(ops.square(ops.stop_gradient(rows)), axis=-1)
    order = ops.argsort(-sizes, axis=-1)
    rank = ops.expand_dims(ops.argsort(order, axis=-1), -1)
    order = ops.expand_dims(order, -1)
    factor, root = ops.qr(ops.take_along_axis(rows, order, axis=-2))
    factor = ops.take_along_axis(factor, rank, axis=-2)
    one = ops.ones_like(diagonal(root))
    sign = ops.where(ops.stop_gradient(diagonal(root)) < 0, -one, one)
    return (
        factor * ops.expand_dims(sign, -2),
        root * ops.expand_dims(sign, -1),
    )


def triangular_root(*blocks: Tensor) -> Tensor:
    """Finds the lower triangular L whose square is the sum of blocks' squares.

    Args:
        *blocks: `(..., n, m)` each, of any m, together of full rank.
    """
    rows = [transpose(block) for block in same_batch(*blocks)]
    return transpose(orthogonal_factors(ops.concatenate(rows, axis=-2))[1])


def condense(rows: Tensor) -> Tensor:
    """Finds at most n rows B with B' B = A' A.

    The rotation that makes them counts as a constant. So A may be of any
    rank, and the gradient of what depends on B' B is exact all the same.

    Args:
        rows: `(..., m, n)`.
    """
    if int(rows.shape[-2]) <= int(rows.shape[-1]):
        return rows
    rotation, _ = orthogonal_factors(ops.stop_gradient(rows))
    return ops.matmul(transpose(ops.stop_gradient(rotation)), rows)


def absorb(root: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tells what observing `rows z + e`, e ~ N(0, I), leaves of z.

    With B = rows L and I + B' B = R' R the new covariance is L R^-1 times
    its transpose. No covariance is formed, and none subtracted.

    Args:
        root: L, `(..., n, n)`.
        rows: `(..., m, n)`.

    Returns:
        L R^-1, `(..., n, n)`; R^-T B', `(..., n, m)`: the product of both is
        the gain; and R, upper triangular.
    """
    seen = ops.matmul(rows, root)
    size = int(seen.shape[-1])
    stacked = same_batch(ops.eye(size, dtype=seen.dtype), seen)
    rotation, inner = orthogonal_factors(ops.concatenate(stacked, axis=-2))
    new = transpose(solve_lower(transpose(inner), transpose(root)))
    return new, transpose(rotation[..., size:, :]), inner


def same_batch(*matrices: Tensor) -> list[Tensor]:
    """Repeats what has fewer batch axes, or batches of one."""
    nothing = sum(ops.zeros_like(x[..., :1, :1]) for x in matrices)
    return [x + nothing for x in matrices]
