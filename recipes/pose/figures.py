"""Synthetic moving figures, in the place of recordings of people.

A figure is a body of bones of fixed lengths in three dimensions, seen from a
direction of its own, more or less from the side, and measured with a slight
error.
"""

import numpy as np

from recipes.pose.motions import MOTIONS, move
from recipes.pose.skeleton import from_joints

NAME = "figures"
NOISE = 0.01  # metres; standard deviation of the error of each coordinate
SIZES = {"train": 600, "valid": 100, "test": 100}
_SHORTEST, _LONGEST = 40, 60


def make_splits(seed=0, sizes=None):
    """Makes the train, valid and test sequences.

    Args:
        seed: int, at least 0. The same seed gives the same figures. Default:
            0.
        sizes: Dict from split to the number of sequences, which begin in the
            same way whatever it is. Default: `SIZES`.

    Returns:
        A dict from split to a list of float32 arrays `(steps, 64)`, in
        metres, of 40 to 60 steps of 0.08 seconds.
    """
    sizes = SIZES if sizes is None else sizes
    return {
        split: [
            make_figure(np.random.default_rng([seed, number, index]))
            for index in range(sizes[split])
        ]
        for number, split in enumerate(SIZES)
    }


def make_figure(generator, motion=None, steps=None):
    """Makes one figure.

    Args:
        generator: `numpy.random.Generator`.
        motion: str. One of `recipes.pose.motions.MOTIONS`. Default: any.
        steps: int. Default: 40 to 60.

    Returns:
        A float32 array `(steps, 64)`, in metres: x from the middle of the
        scene, y from the ground.
    """
    motion = motion or MOTIONS[generator.integers(len(MOTIONS))]
    steps = steps or int(generator.integers(_SHORTEST, _LONGEST + 1))
    joints = move(generator, motion, steps) * generator.uniform(0.92, 1.08)
    seen = _project(joints, generator)
    seen = seen + generator.normal(0.0, NOISE, seen.shape)
    return from_joints(seen).astype("float32")


def _project(joints, generator):
    """Projects joints on a plane; `(steps, 32, 2)`."""
    heading = generator.uniform(0.25, 0.9) * generator.choice([-1, 1])
    heading += np.pi * generator.integers(2)
    forward, left, up = np.moveaxis(joints, -1, 0)
    x = forward * np.cos(heading) - left * np.sin(heading)
    middle = (x[0, 0] + x[-1, 0]) / 2 + generator.normal(0.0, 0.2)
    return np.stack([x - middle, up], axis=-1)
