"""What heads of several parameters by entry share."""

from keras import ops

from keras_fivo.types import Tensor


def split_entries(outputs: Tensor, event_dim: int, parts: int) -> list[Tensor]:
    """Splits `(rows, parts * event_dim * size)` into parts.

    Returns:
        `parts` tensors `(rows, event_dim, size)`.
    """
    return [
        ops.reshape(part, (*ops.shape(part)[:-1], event_dim, -1))
        for part in ops.split(outputs, parts, axis=-1)
    ]
