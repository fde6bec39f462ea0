"""Counts by the inverse of their cumulative distribution function."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from keras_fivo import backend
from keras_fivo.distributions.special import (
    TINY,
    lesser_tail,
    normal_quantile,
)
from keras_fivo.types import Tensor

BLOCKS = 64
"""Number of blocks over which log probabilities bend by half a nat."""

LOWER_TAIL, UPPER_TAIL = 24.5, 18.4
"""Minus log probabilities beyond the search: 1 - p is at least 6e-8."""

NEARLY_NORMAL = 0.03
"""Skewness below which a series around the Normal is used."""

MAX_STEPS = 8192
"""Longest search, in blocks of counts."""


def find_count(
    probability: Tensor,
    mean: Tensor,
    dispersion: Tensor,
    log_prob: Callable[[Tensor], Tensor],
) -> Tensor:
    """Returns the smallest count whose cumulative probability is not below.

    Of a Poisson, or a negative binomial distribution of variance `mean +
    dispersion mean^2`. Where the skewness is below 0.03, as for a Poisson of
    a rate above 1,100, counts come from a Cornish-Fisher series, in error by
    less than 1e-4 standard deviations. Elsewhere probabilities are added up
    from the end of the nearer tail, so that both tails are as precise as the
    level is: one by one, and beyond a standard deviation or, in a tail, a
    count of 128 by blocks over which probabilities are nearly linear. No
    gradient flows through it.

    Args:
        probability: `(rows, ...)`, between 0 and 1; at 1 the count is
            infinite.
        mean: `(rows, ...)`. Mean of the counts.
        dispersion: `(rows, ...)`. 0 for a Poisson.
        log_prob: Log probability of counts, smooth between whole numbers.

    Returns:
        Whole numbers `(rows, ...)`.
    """
    mean, dispersion = ops.stop_gradient(mean), ops.stop_gradient(dispersion)
    probability = ops.stop_gradient(probability)
    spread = 1.0 + dispersion * mean
    skewness = (2.0 * spread - 1.0) / ops.sqrt(mean) / ops.sqrt(spread)
    smooth = skewness < NEARLY_NORMAL
    series = _expand(probability, mean, dispersion, spread)
    target, side = lesser_tail(probability)
    # Bernstein's inequality, as of a gamma distribution.
    deviation = ops.sqrt(mean) * ops.sqrt(spread)
    low = ops.floor(mean - math.sqrt(2.0 * LOWER_TAIL) * deviation)
    high = mean + math.sqrt(2.0 * UPPER_TAIL) * deviation
    search = _Search(
        target=target,
        upper=side > 0.0,
        dispersion=dispersion,
        log_prob=log_prob,
        low=ops.maximum(low, 0.0),
        high=ops.ceil(high + UPPER_TAIL * (spread - 2 / 3)),
    )
    count = ops.where(smooth, series, search.run(smooth))
    count = ops.where(probability > 0.0, count, ops.zeros_like(count))
    endless = ops.full_like(count, float("inf"))
    return ops.where(probability < 1.0, count, endless)


def _expand(
    probability: Tensor, mean: Tensor, dispersion: Tensor, spread: Tensor
) -> Tensor:
    """Sums Cornish and Fisher's series, corrected for whole numbers.

    By the formula of Euler and Maclaurin the cumulative probability of k is
    the smooth one of k + 1/2 whose variance is less by 1/12.

    Reference:
        Giles, 2016, "Algorithm 955: Approximation of the Inverse Poisson
        Cumulative Distribution Function".
    """
    deviation = ops.sqrt(ops.maximum(mean * spread - 1 / 12, 1.0))
    normal = normal_quantile(probability)
    square = ops.square(normal)
    bend = dispersion * mean * spread
    skew = (2.0 * spread - 1.0) * (square - 1.0) / 6
    tail = (1.0 + 6.0 * bend) * (square - 3.0) / 24
    tail = tail - (1.0 + 4.0 * bend) * (2.0 * square - 5.0) / 36
    # The whole part of the mean is added last, for it may be large.
    whole = ops.floor(mean)
    rest = normal * (deviation + tail / deviation) + skew
    rest = ops.floor((mean - whole) + rest + 0.5)
    return ops.maximum(whole + rest, 0.0)


@dataclass(frozen=True)
class _Search:
    """Adds up probabilities from the end of the nearer tail.

    Attributes:
        target: Probability of that tail.
        upper: Whether it is the upper one.
        dispersion: As for `find_count`.
        log_prob: Log probability of counts, as for `find_count`.
        low: First count.
        high: Last count.
    """

    target: Tensor
    upper: Tensor
    dispersion: Tensor
    log_prob: Callable[[Tensor], Tensor]
    low: Tensor
    high: Tensor

    def run(self, done: Tensor) -> Tensor:
        """Returns the counts; where `done`, any."""
        start = ops.where(self.upper, self.high, self.low)
        zero = ops.convert_to_tensor(0, "int32")
        _, edge, current, below, _ = backend.while_loop(
            lambda step, *state: ops.any(self._unfinished(*state)),
            self._advance,
            (zero, start, self._mass(start), ops.zeros_like(start), done),
            maximum_iterations=MAX_STEPS,
        )
        size = self._size(edge)
        share = size * (self.target - below) / (current + TINY)
        inside = ops.where(self.upper, ops.floor(share), ops.ceil(share) - 1.0)
        return self._move(edge, ops.clip(inside, 0.0, size - 1.0))

    def _move(self, edge: Tensor, distance: Tensor) -> Tensor:
        return ops.where(self.upper, edge - distance, edge + distance)

    def _size(self, edge: Tensor) -> Tensor:
        """Returns the number of counts of the block that begins at an edge."""
        # The second derivative of the log probability, to the power -1/2.
        bend = ops.abs(1.0 - self.dispersion) + 1e-6
        scale = ops.sqrt((edge + 1.0) * (1.0 + self.dispersion * edge) / bend)
        return ops.maximum(ops.floor(ops.minimum(scale, edge) / BLOCKS), 1.0)

    def _mass(self, edge: Tensor) -> Tensor:
        size = self._size(edge)
        middle = self._move(edge, 0.5 * (size - 1.0))
        return size * ops.stop_gradient(ops.exp(self.log_prob(middle)))

    def _unfinished(
        self, edge: Tensor, current: Tensor, below: Tensor, done: Tensor
    ) -> Tensor:
        total = below + current
        # From above: the largest count of a tail heavier than the target.
        more = ops.where(self.upper, total <= self.target, total < self.target)
        inside = ops.where(self.upper, edge > 0.0, edge < self.high)
        return more & inside & ~done

    def _advance(
        self,
        step: Tensor,
        edge: Tensor,
        current: Tensor,
        below: Tensor,
        done: Tensor,
    ) -> tuple[Tensor, ...]:
        active = self._unfinished(edge, current, below, done)
        below = ops.where(active, below + current, below)
        moved = self._move(edge, self._size(edge))
        edge = ops.where(active, moved, edge)
        return step + 1, edge, self._mass(edge), below, done
