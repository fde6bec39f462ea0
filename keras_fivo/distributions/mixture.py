"""What mixtures of distributions have in common."""

from keras import ops

from keras_fivo.types import Tensor


def choose_component(logits: Tensor, uniform: Tensor) -> Tensor:
    """One component by the inverse of the distribution function.

    Args:
        logits: `(..., components)`.
        uniform: `(...)`.

    Returns:
        One-hot, of the shape of `logits`.
    """
    cumulative = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    passed = ops.cast(ops.expand_dims(uniform, -1) >= cumulative, "int32")
    # In float32 the last cumulative weight can fall below 1.
    last = int(logits.shape[-1]) - 1
    index = ops.minimum(ops.sum(passed, axis=-1), last)
    return ops.one_hot(index, last + 1, dtype=logits.dtype)


def best_candidate(log_probs: Tensor, candidates: Tensor) -> Tensor:
    """The candidate of the highest log probability, along the last axis."""
    index = ops.expand_dims(ops.argmax(log_probs, axis=-1), -1)
    return ops.take_along_axis(candidates, index, axis=-1)[..., 0]
