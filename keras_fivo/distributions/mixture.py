"""What mixtures of distributions have in common."""

from keras import ops

from keras_fivo.types import Tensor


def choose_component(logits: Tensor, uniform: Tensor) -> Tensor:
    """Chooses the first component whose cumulative weight exceeds a uniform.

    Args:
        logits: `(..., components)`.
        uniform: `(...)`, in [0, 1).

    Returns:
        One-hot, of the shape of `logits`.
    """
    exceeds = cumulative_weights(logits) > ops.expand_dims(uniform, -1)
    count = int(logits.shape[-1])
    return ops.one_hot(first_true(exceeds), count, dtype=logits.dtype)


def cumulative_weights(logits: Tensor) -> Tensor:
    """Adds up weights to end at exactly 1; weight 0 counts as none.

    In float32 their sum can differ from 1 by rounding.
    """
    weights = ops.softmax(logits, axis=-1)
    cumulative = ops.cumsum(weights, axis=-1)
    cumulative = ops.where(weights > 0, cumulative, ops.zeros_like(weights))
    return cumulative / ops.max(cumulative, axis=-1, keepdims=True)


def first_true(condition: Tensor) -> Tensor:
    """Returns the index of the first True on the last axis, or the last."""
    index = ops.arange(int(condition.shape[-1]), dtype="int32")
    return ops.min(ops.where(condition, index, index[-1]), axis=-1)


def best_candidate(log_probs: Tensor, candidates: Tensor) -> Tensor:
    """Returns the candidate of highest log probability, on the last axis."""
    index = ops.expand_dims(ops.argmax(log_probs, axis=-1), -1)
    return ops.take_along_axis(candidates, index, axis=-1)[..., 0]
