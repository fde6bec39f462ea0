"""Chooses the few lengths that sequences are padded to.

JAX and XLA compile once more for every new shape, and padding costs time: few
lengths, well chosen.
"""

import math

import numpy as np


def choose_boundaries(
    lengths, num_buckets, multiple=8, batch_size=1, longest=None
):
    """Chooses lengths to pad to so that the fewest steps are computed.

    Exact, by dynamic programming over the lengths that occur, rounded up to
    the multiple. Rows that fill up a batch count as well: what is counted is
    what is computed.

    Args:
        lengths: Integers `(sequences,)`, at least 1.
        num_buckets: int. How many lengths there may be.
        multiple: int. Lengths are multiples of it. Default: 8.
        batch_size: int. Rows of a batch. Default: 1.
        longest: int. No boundary need be above this. Default: `None`.

    Returns:
        A tuple of at most `num_buckets` rising lengths; the last one is as
        long as the longest sequence or longer.
    """
    rounded = -(-np.asarray(lengths) // multiple) * multiple
    if longest is not None:
        rounded = np.minimum(rounded, longest)
    tops, counts = np.unique(rounded, return_counts=True)
    if len(tops) > 256:  # a grid that is fine enough
        coarser = multiple * math.ceil(tops[-1] / multiple / 255)
        return choose_boundaries(
            lengths, num_buckets, coarser, batch_size, longest
        )
    below = np.concatenate([[0], np.cumsum(counts)])
    best = np.full(len(tops) + 1, np.inf)
    best[0] = 0
    starts, totals = [], []
    for _ in range(min(num_buckets, len(tops))):
        # cost[i, j]: the lengths i to j in one bucket, those below i before
        rows = below[None, 1:] - below[:-1, None]
        padded = -(-rows // batch_size) * batch_size * tops[None, :]
        cost = np.where(rows > 0, best[:-1, None] + padded, np.inf)
        best = np.concatenate([[np.inf], cost.min(axis=0)])
        starts.append(cost.argmin(axis=0))
        totals.append(best[-1])
    return _trace(tops, starts[: int(np.argmin(totals)) + 1])


def _trace(tops, starts):
    # From the longest bucket down: each says at which length it starts.
    boundaries, end = [], len(tops)
    for start in reversed(starts):
        boundaries.append(int(tops[end - 1]))
        end = start[end - 1]
    return tuple(reversed(boundaries))


def assign(lengths, boundaries):
    """Returns the index of the shortest boundary that holds each length.

    Args:
        lengths: Integers `(sequences,)`.
        boundaries: Rising lengths.

    Returns:
        Integers `(sequences,)`.
    """
    return np.searchsorted(boundaries, lengths, side="left")
