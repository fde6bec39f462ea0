"""Counts by the inverse of their distribution function."""

from collections.abc import Callable

from keras import ops

from keras_fivo.types import Tensor

MAX_STEPS = 8192
"""Longest search, in blocks of counts."""

NEGLIGIBLE = 1e-8
"""The search ends above the mean where blocks are less probable."""

BLOCKS_PER_DEVIATION = 64


def find_count(
    probability: Tensor,
    mean: Tensor,
    deviation: Tensor,
    log_prob: Callable[[Tensor], Tensor],
) -> Tensor:
    """The smallest count whose distribution function is not below.

    The search starts seven standard deviations below the mean, where next
    to nothing lies below, and adds up probabilities. Up to a standard
    deviation of 128, and up to counts of 128, it goes one by one and is
    exact. Beyond, it goes by blocks of 1/64 of the standard deviation or of
    the count, if that is less, over which probabilities are nearly linear.
    No gradient flows through it.

    Args:
        probability: `(rows, ...)`, between 0 and 1.
        mean: `(rows, ...)`. Mean of the counts.
        deviation: `(rows, ...)`. Their standard deviation.
        log_prob: Log probability of counts, smooth between whole numbers.

    Returns:
        Whole numbers `(rows, ...)`.
    """
    mean, deviation = ops.stop_gradient(mean), ops.stop_gradient(deviation)
    probability = ops.stop_gradient(probability)

    def block(count: Tensor) -> Tensor:
        smooth = ops.minimum(deviation, count) / BLOCKS_PER_DEVIATION
        return ops.maximum(ops.floor(smooth), 1.0)

    def mass(count: Tensor) -> Tensor:
        size = block(count)
        middle = count + 0.5 * (size - 1.0)
        return size * ops.stop_gradient(ops.exp(log_prob(middle)))

    def unfinished(count: Tensor, current: Tensor, below: Tensor) -> Tensor:
        more = (count < mean) | (current > NEGLIGIBLE)
        return (below + current < probability) & more

    def condition(step: Tensor, *state: Tensor) -> Tensor:
        return ops.any(unfinished(*state))

    def advance(
        step: Tensor, count: Tensor, current: Tensor, below: Tensor
    ) -> tuple[Tensor, ...]:
        active = unfinished(count, current, below)
        below = ops.where(active, below + current, below)
        count = ops.where(active, count + block(count), count)
        return step + 1, count, mass(count), below

    start = ops.maximum(ops.floor(mean - 7.0 * deviation), 0.0)
    _, count, current, below = ops.while_loop(
        condition,
        advance,
        (
            ops.convert_to_tensor(0, "int32"),
            start,
            mass(start),
            ops.zeros_like(start),
        ),
        maximum_iterations=MAX_STEPS,
    )
    share = ops.clip((probability - below) / (current + 1e-30), 0.0, 1.0)
    size = block(count)
    return count + ops.minimum(ops.floor(share * size), size - 1.0)
