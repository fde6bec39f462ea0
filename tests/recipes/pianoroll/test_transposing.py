"""Training songs in other keys."""

import numpy as np
import pytest

from recipes.data.sequence_dataset import SequenceDataset
from recipes.pianoroll.rolls import PianoRolls
from recipes.pianoroll.transposing import TransposedSongs
from recipes.registry import recipe_of


def song(notes, steps):
    roll = np.zeros((steps, 88), "uint8")
    for step in range(steps):
        roll[step, [note + step % 2 for note in notes]] = 1
    return roll


# The second one fills the keyboard, and so has no other key.
SONGS = [song((30, 37, 42), 9), song((0, 86), 5), song((3, 50), 7)]


def moved(dataset, epoch=0):
    """By how much each song of an epoch was moved, by its length."""
    dataset.epoch = epoch
    found = {}
    for index in range(len(dataset)):
        batch = dataset[index]
        for roll, mask in zip(
            batch["observations"], batch["mask"], strict=True
        ):
            steps = int(mask.sum())
            origin = next((s for s in SONGS if len(s) == steps), None)
            if origin is None:
                assert not roll.any()
                continue
            lowest = [np.flatnonzero(x.any(axis=0))[0] for x in (roll, origin)]
            shift = int(lowest[0]) - int(lowest[1])
            # Nothing falls off the keyboard, and nothing else changes.
            expected = np.roll(origin, shift, axis=1)
            np.testing.assert_array_equal(roll[:steps], expected)
            assert roll.sum() == origin.sum()
            found[steps] = shift
    return found


def test_songs_move_whole_and_stay_on_the_keyboard():
    dataset = TransposedSongs(SONGS, transpose=5, batch_size=2, seed=1)
    shifts = [moved(dataset, epoch) for epoch in range(200)]
    assert {found[9] for found in shifts} == set(range(-5, 6))
    assert {found[5] for found in shifts} == {0}
    assert {found[7] for found in shifts} == set(range(-3, 6))


def test_a_resumed_epoch_is_the_same_and_another_is_another():
    first = TransposedSongs(SONGS, transpose=5, batch_size=2, seed=1)
    second = TransposedSongs(SONGS, transpose=5, batch_size=2, seed=1)
    for _ in range(3):
        second[0]
    epochs = [moved(first, epoch) for epoch in range(8)]
    assert moved(second, 7) == epochs[7]
    assert len({tuple(sorted(found.items())) for found in epochs}) > 1


def test_the_recipe_transposes_training_alone():
    recipe = recipe_of("jsb")
    rolls = PianoRolls("jsb", SONGS, SONGS, SONGS, source="")
    usual = recipe.fit_settings("jsb")
    assert type(recipe.train_batches(rolls, usual)) is SequenceDataset
    batches = recipe.train_batches(rolls, usual.changed(transpose=2))
    assert isinstance(batches, TransposedSongs) and batches.transpose == 2
    for item in (batches[0]["observations"], batches[0]["mask"]):
        assert item.shape[0] == usual.batch_size
    with pytest.raises(ValueError, match="Received: transpose=0"):
        TransposedSongs(SONGS, transpose=0)
