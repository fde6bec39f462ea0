"""What stands before the coefficients of a season: cosines and sines."""

from collections.abc import Callable, Sequence

import numpy as np


def num_harmonic_columns(seasons: Sequence[float], harmonics: int) -> int:
    """Returns the number of columns of `harmonic_columns`."""
    return sum(len(_columns(season, harmonics)) for season in seasons)


def harmonic_columns(
    seasons: Sequence[float], harmonics: int, start: int, num_steps: int
) -> np.ndarray:
    """Returns cosines and sines of the time.

    Args:
        seasons: Lengths of the seasons, in steps.
        harmonics: Largest number of harmonics of a season.
        start: Number of the first step.
        num_steps: Number of steps.

    Returns:
        `(num_steps, columns)`, float32.
    """
    time = np.arange(start, start + num_steps, dtype="float64")
    found = [
        function(2 * np.pi * number * time / season)
        for season in seasons
        for function, number in _columns(season, harmonics)
    ]
    if not found:
        return np.zeros((num_steps, 0), "float32")
    return np.stack(found, axis=1).astype("float32")


def _columns(season: float, harmonics: int) -> list[tuple[Callable, int]]:
    """Yields pairs of cosine or sine and the number of the harmonic."""
    if season <= 1:
        return []
    found: list[tuple[Callable, int]] = []
    for number in range(1, min(int(season / 2), harmonics) + 1):
        found.append((np.cos, number))
        # The sine of the shortest wave is 0 at every step.
        if 2 * number != season:
            found.append((np.sin, number))
    return found
