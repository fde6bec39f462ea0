"""What the last frame alone tells of the next."""

import numpy as np

from recipes.video.clips import Clips, VideoData


def last_frame_repeated(data: VideoData, split: str) -> float:
    """Returns how well the last frame predicts a split, in nats per frame.

    A pixel keeps its level with a probability that depends on the level, or
    takes one that is drawn as the levels of all pixels are; both frequencies
    are counted in the train split, one more than seen for each. Before the
    first frame there is none: its pixels are drawn so.

    Args:
        data: Data set.
        split: Name of the split.
    """
    levels = data.levels
    counts = np.ones((levels, levels))
    for before, after in _pairs(data.split("train"), levels):
        np.add.at(counts, (before, after), 1)
    seen = counts.sum(0)
    marginal = np.log(seen / seen.sum())
    kept = np.diag(counts) / counts.sum(1)
    # log p(level | before): kept, or drawn anew from the others.
    others = np.where(np.eye(levels, dtype=bool), 0.0, seen)
    others /= others.sum(1, keepdims=True)
    table = (1 - kept)[:, None] * others
    np.fill_diagonal(table, kept)
    total, frames = 0.0, 0
    for clip in data.split(split):
        found = _levels(clip, levels)
        total += marginal[found[0]].sum()
        total += np.log(table[found[:-1], found[1:]]).sum()
        frames += len(found)
    return float(total / frames)


def _pairs(clips: Clips, levels: int):
    """Yields levels of pixels of each frame but the last, and one on."""
    for clip in clips:
        found = _levels(clip, levels)
        yield found[:-1], found[1:]


def _levels(clip: np.ndarray, levels: int) -> np.ndarray:
    return np.rint(clip * (levels - 1)).astype(int)
