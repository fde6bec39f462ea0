"""The Normal distribution with a full covariance."""

import math

from keras import ops

from keras_fivo import backend
from keras_fivo.distributions.distribution import Distribution, Symmetric
from keras_fivo.distributions.normal import Normal
from keras_fivo.types import Tensor

_LOG_TWO_PI = math.log(2 * math.pi)


class MultivariateNormal(Symmetric, Distribution):
    """A Normal given by its mean and the Cholesky factor of its covariance.

    Args:
        loc: `(rows, size)`. Means.
        scale_tril: `(rows, size, size)`, or `(size, size)` for all rows.
            Lower triangular, with a positive diagonal.
    """

    parameter_names = ("loc", "scale_tril")

    def __init__(self, loc: Tensor, scale_tril: Tensor) -> None:
        self.loc = loc
        self.scale_tril = scale_tril

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the log density of each row, in nats.

        Args:
            value: `(rows, size)`.
            mask: Optional boolean of that shape. Entries where it is False
                are integrated out, which takes a Cholesky factor of each
                row.

        Returns:
            `(rows,)`.
        """
        residual, factor = value - self.loc, self.scale_tril
        if mask is None:
            count = int(residual.shape[-1])
        else:
            residual = ops.where(mask, residual, ops.zeros_like(residual))
            factor = _marginal(factor, mask)
            count = ops.sum(ops.cast(mask, residual.dtype), axis=-1)
        distance = ops.sum(ops.square(_whiten(factor, residual)), axis=-1)
        return -0.5 * (distance + count * _LOG_TWO_PI) - _half_log_det(factor)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns `loc + scale_tril @ noise`, for standard Normal noise."""
        return self.loc + _times(self.scale_tril, noise)

    def completed(self, value: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        """Completes a sample, or the mean, given some entries.

        `value + S_k (S_kk)^-1 (known - value_k)`, which has the conditional
        distribution if `value` has the joint one (Matheron's rule).
        """
        residual = ops.where(mask, known - value, ops.zeros_like(value))
        factor = self._by_row().scale_tril
        marginal = _marginal(factor, mask)
        # S_kk^-1 of the known entries; zeros elsewhere.
        solved = ops.solve_triangular(
            ops.swapaxes(marginal, -1, -2),
            ops.expand_dims(_whiten(marginal, residual), -1),
            lower=False,
        )
        pulled = ops.matmul(ops.swapaxes(factor, -1, -2), solved)
        pulled = ops.squeeze(ops.matmul(factor, pulled), -1)
        return ops.where(mask, known, value + pulled)

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Samples; gives the log density too, not solving for the noise."""
        size = int(noise.shape[-1])
        distance = ops.sum(ops.square(noise), axis=-1) + size * _LOG_TWO_PI
        log_prob = -0.5 * distance - _half_log_det(self.scale_tril)
        return self.sample(noise), log_prob

    def select(
        self, condition: Tensor, other: Distribution
    ) -> "MultivariateNormal":
        """Takes this distribution where `condition` holds, else `other`."""
        if isinstance(other, MultivariateNormal):
            other = other._by_row()
        return Distribution.select(self._by_row(), condition, other)

    def _by_row(self) -> "MultivariateNormal":
        rows = self.scale_tril + ops.zeros_like(self.loc[:, :, None])
        return MultivariateNormal(self.loc, rows)

    def kl(self, other: "MultivariateNormal") -> Tensor:
        """Returns the KL divergence KL(self || other), `(rows,)`, in nats."""
        size = int(self.loc.shape[-1])
        shift = _whiten(other.scale_tril, self.loc - other.loc)
        ratio = _solve(other.scale_tril, self.scale_tril)
        trace = ops.sum(ops.square(ratio), axis=(-2, -1))
        distance = ops.sum(ops.square(shift), axis=-1)
        log_ratio = _half_log_det(other.scale_tril) - _half_log_det(
            self.scale_tril
        )
        return 0.5 * (trace + distance - size) + log_ratio

    @classmethod
    def from_normal(cls, normal: Normal) -> "MultivariateNormal":
        """Returns a diagonal Normal in this form."""
        identity = ops.eye(int(normal.scale.shape[-1]))
        return cls(normal.loc, ops.expand_dims(normal.scale, -1) * identity)


def normal_from_factor(loc: Tensor, scale_tril: Tensor) -> Distribution:
    """Returns the Normal of a mean and a factor; of entries, if that is one.

    Args:
        loc: `(rows, size)`.
        scale_tril: `(rows, size, size)` or `(size, size)`.
    """
    if int(loc.shape[-1]) > 1:
        return MultivariateNormal(loc, scale_tril)
    return Normal(loc, scale_tril[..., 0] + ops.zeros_like(loc))


def _half_log_det(factor: Tensor) -> Tensor:
    return ops.sum(ops.log(ops.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


def _times(factor: Tensor, vectors: Tensor) -> Tensor:
    """Multiplies a factor of all rows, or of each, with `(rows, size)`."""
    if len(factor.shape) == 2:
        return ops.matmul(vectors, ops.transpose(factor))
    return ops.squeeze(ops.matmul(factor, ops.expand_dims(vectors, -1)), -1)


def _whiten(factor: Tensor, vectors: Tensor) -> Tensor:
    if len(factor.shape) == 2:
        solved = ops.solve_triangular(
            factor, ops.transpose(vectors), lower=True
        )
        return ops.transpose(solved)
    solved = ops.solve_triangular(
        factor, ops.expand_dims(vectors, -1), lower=True
    )
    return ops.squeeze(solved, -1)


def _solve(factor: Tensor, right: Tensor) -> Tensor:
    factor = factor + ops.zeros_like(right)
    right = right + ops.zeros_like(factor)
    return ops.solve_triangular(factor, right, lower=True)


def _marginal(factor: Tensor, mask: Tensor) -> Tensor:
    """Makes entries that are not observed independent, of variance 1."""
    covariance = ops.matmul(factor, ops.swapaxes(factor, -1, -2))
    both = ops.logical_and(ops.expand_dims(mask, -1), ops.expand_dims(mask, -2))
    identity = ops.eye(int(mask.shape[-1]), dtype=covariance.dtype)
    return backend.cholesky(ops.where(both, covariance, identity))
