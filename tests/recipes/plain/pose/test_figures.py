import numpy as np
import pytest

from recipes.pose import figures
from recipes.pose.body import LENGTHS
from recipes.pose.motions import FRAMES_PER_SECOND, MOTIONS, move
from recipes.pose.skeleton import (
    BONES,
    LEFT,
    NUM_FEATURES,
    RIGHT,
    from_joints,
    to_joints,
)

FEET = (3, 4, 5, 8, 9, 10)


def moved(motion, seed=0, steps=60):
    return move(np.random.default_rng(seed), motion, steps)


def test_a_step_holds_all_x_and_then_all_y():
    steps = np.arange(3 * NUM_FEATURES).reshape(3, NUM_FEATURES)
    joints = to_joints(steps)
    assert joints.shape == (3, 32, 2)
    np.testing.assert_array_equal(joints[1, 5], [64 + 5, 64 + 32 + 5])
    np.testing.assert_array_equal(from_joints(joints), steps)


def test_the_bones_make_one_tree_of_two_equal_sides():
    assert sorted(child for _, child in BONES) == list(range(1, 32))
    assert all(parent < child for parent, child in BONES)
    assert len(LEFT) == len(RIGHT) == 13 and not LEFT & RIGHT
    right, left = (LENGTHS[sorted(side)] for side in (RIGHT, LEFT))
    np.testing.assert_array_equal(right, left)


@pytest.mark.parametrize("motion", MOTIONS)
def test_bones_keep_their_lengths_and_feet_their_ground(motion):
    joints = moved(motion)
    for parent, child in BONES:
        lengths = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        np.testing.assert_allclose(lengths, LENGTHS[child], atol=1e-9)
    lowest = joints[:, FEET, 2].min(axis=1)
    assert lowest.min() > -1e-9
    assert (lowest.max() > 0.1) == (motion == "jump")
    assert (joints[:, 15, 2] > 0.8).all()  # the head stays up
    # No joint is faster than 12 metres a second.
    speeds = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert speeds.max() * FRAMES_PER_SECOND < 12


def test_walking_goes_forward_and_nothing_else_does():
    way = {m: np.ptp(moved(m)[:, 0, 0]) for m in MOTIONS}
    assert way["walk"] > 2
    assert way["jump"] < 0.5 and way["wave"] < 0.5
    # In a flight of t seconds one rises by g t^2 / 8.
    flight = moved("jump", steps=200)[:, FEET, 2].min(axis=1)
    assert 0.1 < flight.max() < 9.81 * 0.55**2 / 8 + 1e-9


def test_waving_moves_one_arm_above_the_others():
    for seed in range(4):
        hands = moved("wave", seed)[:, (22, 30)]
        travel = np.abs(np.diff(hands, axis=0)).sum((0, 2))
        assert travel.max() > 3 * travel.min()
        assert hands[:, np.argmax(travel), 2].max() > 1.4


def test_the_seed_decides_the_figures():
    sizes = {"train": 2, "valid": 1, "test": 1}
    one, again, more, other = (
        figures.make_splits(seed, number)
        for seed, number in (
            (0, sizes),
            (0, sizes),
            (0, {**sizes, "train": 3}),
            (1, sizes),
        )
    )
    for split in sizes:
        for first, second in zip(one[split], again[split], strict=True):
            np.testing.assert_array_equal(first, second)
            assert first.dtype == np.float32 and 40 <= len(first) <= 60
    np.testing.assert_array_equal(one["train"][1], more["train"][1])
    heads = [
        split[0][:5, 0] for split in (one["train"], one["test"], other["train"])
    ]
    assert not np.allclose(heads[0], heads[1])
    assert not np.allclose(heads[0], heads[2])


def test_joints_at_one_place_differ_by_the_noise_alone():
    steps = figures.make_figure(np.random.default_rng(0), "wave", 1000)
    joints = to_joints(steps)
    apart = joints[:, 20] - joints[:, 19]  # a bone of length 0
    # 2,000 draws: the standard error is 1.6 %, five of them are 8 %.
    deviation = apart.std() / np.sqrt(2)
    np.testing.assert_allclose(deviation, figures.NOISE, rtol=0.08)


def test_an_unknown_motion_is_refused():
    with pytest.raises(ValueError, match="Received: motion='swim'"):
        figures.make_figure(np.random.default_rng(0), "swim")
