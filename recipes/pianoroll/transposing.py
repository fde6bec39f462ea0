"""Songs in other keys, anew in each epoch."""

import numpy as np

from recipes.data.sequence_dataset import SequenceDataset


class TransposedSongs(SequenceDataset):
    """Batches of piano rolls, each song moved up or down by semitones.

    Each song of a batch is moved by one of the whole numbers from
    `-transpose` to `transpose` that leave its notes on the keyboard, all as
    likely. Which is a function of the seed, the epoch and the batch: a
    training that is resumed sees the same.

    Args:
        sequences: As for `SequenceDataset`.
        transpose: int, at least 1. Largest number of semitones.
        **settings: As for `SequenceDataset`.
    """

    def __init__(self, sequences, *, transpose, **settings):
        super().__init__(sequences, **settings)
        if transpose < 1:
            raise ValueError(
                "`transpose` must be at least 1. "
                f"Received: transpose={transpose}."
            )
        self.transpose = transpose

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        index %= len(self)
        # The last number keeps these draws apart from those of the order.
        generator = np.random.default_rng([self.seed, self.epoch, index, 1])
        rolls = batch["observations"]
        # (rows,), one for each song, rows that fill up the batch included.
        for row, uniform in enumerate(generator.random(len(rolls))):
            notes = np.flatnonzero(rolls[row].any(axis=0))
            if len(notes):
                low = -min(self.transpose, notes[0])
                high = min(self.transpose, rolls.shape[2] - 1 - notes[-1])
                shift = low + int(uniform * (high - low + 1))
                rolls[row] = np.roll(rolls[row], shift, axis=1)
        return batch
