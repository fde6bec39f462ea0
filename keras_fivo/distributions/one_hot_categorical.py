"""One of several classes, as a vector."""

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.mixture import choose_component
from keras_fivo.types import Shape, Tensor


class OneHotCategorical(Distribution):
    """One class: a vector that is 1 at its number, and 0 elsewhere.

    Args:
        logits: `(rows, classes)`. Log probabilities, up to a constant.
    """

    parameter_names = ("logits",)
    noise = "uniform"

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @classmethod
    def noise_shape(cls, event_dim: int) -> Shape:
        """Returns that of one number, however many classes there are."""
        return (1,)

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Puts the class's log probability in its place, zero elsewhere."""
        return value * ops.log_softmax(self.logits, axis=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """Takes the first class whose cumulative probability exceeds noise."""
        return choose_component(self.logits, noise[..., 0])

    @property
    def mean(self) -> Tensor:
        """The probabilities of the classes."""
        return ops.softmax(self.logits, axis=-1)

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        count = int(self.logits.shape[-1])
        best = ops.argmax(self.logits, axis=-1)
        return ops.one_hot(best, count, dtype=self.logits.dtype)

    def kl(self, other: "OneHotCategorical") -> Tensor:
        """Returns KL(self || other) by rows, in nats."""
        mine = ops.log_softmax(self.logits, axis=-1)
        theirs = ops.log_softmax(other.logits, axis=-1)
        return ops.sum(ops.exp(mine) * (mine - theirs), axis=-1)
