"""Melodies that a test split shares with the train split, in any key."""

from collections.abc import Sequence

import numpy as np

# Three bars of quarter notes: more than most phrases of a chorale.
WINDOW = 12
# Of the canonical JSB chorales, from 0: the test chorales that share less than
# half of their soprano phrases with one training chorale.
JSB_DIGEST = "e64e7ec61f18cc3d"
JSB_UNLEAKED = (
    *(0, 3, 4, 5, 7, 8, 9, 10, 11, 14, 15, 17, 19, 21, 22, 23, 24, 25, 26, 27),
    *(28, 29, 30, 33, 34, 35, 36, 40, 41, 42, 46, 47, 49, 51, 52, 56, 57, 58),
    *(61, 62, 63, 66, 67, 68, 69, 72, 73, 74, 75),
)


def shared_melody(
    song: np.ndarray, others: Sequence[np.ndarray], window: int = WINDOW
) -> float:
    """Returns the share of a song's steps whose melody another song has too.

    The melody is the highest note of each step. A step is shared if it is in
    `window` steps that go up and down as some `window` steps of the other song
    do; windows with less than three different intervals say nothing. The
    other song is the one with the largest share.

    Args:
        song: Piano roll `(steps, notes)`.
        others: Piano rolls of other songs.
        window: Number of steps of a window.
    """
    return _share(song, [_intervals(one, window) for one in others], window)


def leaked(
    songs: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    window: int = WINDOW,
) -> list[int]:
    """Returns the positions of the songs that share half of their melody.

    Args:
        songs: Piano rolls, those of the test split.
        others: Piano rolls, those of the train split.
        window: As for `shared_melody`.
    """
    known = [_intervals(one, window) for one in others]
    shares = [_share(song, known, window) for song in songs]
    return [index for index, share in enumerate(shares) if share >= 0.5]


def _share(
    song: np.ndarray, others: Sequence[set[tuple[int, ...]]], window: int
) -> float:
    """Returns the share of steps of others' melodies, by intervals."""
    mine = _windows(song, window)
    largest = 0.0
    for known in others:
        shared = np.zeros(len(song), bool)
        for start, intervals in mine.items():
            if intervals in known:
                shared[start : start + window] = True
        largest = max(largest, float(shared.mean()) if len(song) else 0.0)
    return largest


def _intervals(song: np.ndarray, window: int) -> set[tuple[int, ...]]:
    return set(_windows(song, window).values())


def _windows(song: np.ndarray, window: int) -> dict[int, tuple[int, ...]]:
    """Returns the intervals of each window of the melody, by first step."""
    heard = np.asarray(song) > 0.5
    top = heard.shape[1] - 1 - np.argmax(heard[:, ::-1], axis=1)
    silent = ~heard.any(axis=1)
    found = {}
    for start in range(len(top) - window + 1):
        intervals = tuple(np.diff(top[start : start + window]).tolist())
        if len(set(intervals)) > 2 and not silent[start : start + window].any():
            found[start] = intervals
    return found
