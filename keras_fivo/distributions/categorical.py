"""The categorical distribution."""

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.mixture import (
    choose_component,
    cumulative_weights,
    first_true,
)
from keras_fivo.types import Tensor


class Categorical(Distribution):
    """Independent entries, each the number of a class: 0, 1, 2, ...

    Values are whole numbers in floating point; others count as the nearest.
    `mean` is that of the numbers, which says something only where classes
    are in order.

    Args:
        logits: `(rows, ..., classes)`. Log probabilities, up to a constant.
    """

    parameter_names = ("logits",)
    noise = "uniform"

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(self.logits.shape[-1])

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of each entry, in nats."""
        index = ops.clip(ops.round(value), 0, self.num_classes - 1)
        index = ops.expand_dims(ops.cast(index, "int32"), -1)
        log_probs = ops.log_softmax(self.logits, axis=-1)
        return ops.take_along_axis(log_probs, index, axis=-1)[..., 0]

    def sample(self, noise: Tensor) -> Tensor:
        """Takes the first class whose cumulative probability exceeds noise."""
        chosen = choose_component(self.logits, noise)
        return ops.sum(chosen * self._numbers(), axis=-1)

    @property
    def mean(self) -> Tensor:
        """The expected number of the class."""
        probabilities = ops.softmax(self.logits, axis=-1)
        return ops.sum(probabilities * self._numbers(), axis=-1)

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return ops.cast(ops.argmax(self.logits, axis=-1), self.logits.dtype)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the inverse of the cumulative distribution function."""
        level = probability + ops.zeros_like(self.logits[..., 0])
        reached = cumulative_weights(self.logits) >= ops.expand_dims(level, -1)
        return ops.cast(first_true(reached), self.logits.dtype)

    def _numbers(self) -> Tensor:
        return ops.arange(self.num_classes, dtype=self.logits.dtype)
