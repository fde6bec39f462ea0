"""A bound on the sizes of weights."""

import math

MAX_ENTRIES = 2**31


def check_entries(what: str, *shape: int) -> None:
    """Raises an error for a weight that no machine here could hold.

    Frameworks end the process where the memory for a weight is not there.

    Args:
        what: What the weight belongs to, for the message.
        shape: Shape of the weight.

    Raises:
        ValueError: If it has more than 2^31 entries.
    """
    if math.prod(shape) > MAX_ENTRIES:
        raise ValueError(
            f"{what} must have weights of at most {MAX_ENTRIES} entries; "
            f"choose smaller sizes. Received: a weight of shape {shape}"
        )
