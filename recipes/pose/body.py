"""A body whose bones keep their lengths, posed by the angles of its joints."""

import numpy as np

from recipes.pose.skeleton import NUM_JOINTS, PARENTS, RIGHT

_DOWN, _UP, _FORWARD = (0, 0, -1), (0, 0, 1), (1, 0, 0)
_ASIDE = (0, 1, 0)  # to the left; mirrored for joints on the right
# Length in metres and direction at rest (forward, left, up) of the bone that
# ends at each joint; joints of length 0 lie on the joint that they hang on.
_LEG = (
    *((0.13, _ASIDE), (0.44, _DOWN), (0.45, _DOWN)),
    *((0.16, _FORWARD), (0.07, _FORWARD)),
)
_TRUNK = ((0.0, _UP), (0.23, _UP), (0.26, _UP), (0.12, _UP), (0.12, _UP))
_ARM = (
    *((0.24, _UP), (0.17, _ASIDE), (0.28, _DOWN), (0.25, _DOWN)),
    *((0.0, _DOWN), (0.07, _FORWARD), (0.10, _DOWN), (0.0, _DOWN)),
)
_REST = ((0.0, _UP), *_LEG, *_LEG, *_TRUNK, *_ARM, *_ARM)

LENGTHS = np.array([length for length, _ in _REST])
LEG_LENGTH = 0.44 + 0.45

# The bones that motions turn, by the joint that each ends at.
LOWER_TRUNK, UPPER_TRUNK = 12, 13


class Right:
    thigh, shin, foot, upper_arm, forearm = 2, 3, 4, 26, 27


class Left:
    thigh, shin, foot, upper_arm, forearm = 7, 8, 9, 18, 19


_FEET = (3, 4, 5, 8, 9, 10)


def place_joints(swing, raise_, steps):
    """Returns the joints of a body whose hips stay in one place.

    Args:
        swing: Dict from joint to angles `(steps,)` in radians, by which the
            bone that ends there, and all that hangs on it, turn about the
            axis from right to left; a positive angle swings what hangs down
            forward.
        raise_: The same about the axis from back to front: what hangs down
            is raised to the side, left joints to the left and right ones to
            the right.
        steps: Number of steps.

    Returns:
        Array `(steps, 32, 3)` in metres: forward, left, up from the hips.
    """
    joints = np.zeros((steps, NUM_JOINTS, 3))
    swings, raises = np.zeros((2, NUM_JOINTS, steps))
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        side = -1.0 if joint in RIGHT else 1.0
        swings[joint] = swings[parent] + swing.get(joint, 0.0)
        raises[joint] = raises[parent] + side * raise_.get(joint, 0.0)
        length, rest = _REST[joint]
        bone = _turn(rest, side, swings[joint], raises[joint])
        joints[:, joint] = joints[:, parent] + length * bone
    return joints


def stand(joints, height=0.0):
    """Puts the lowest part of the feet so high above the ground.

    Args:
        joints: Array `(steps, 32, 3)`.
        height: Metres, `(steps,)` or one for all.
    """
    lowest = joints[:, _FEET, 2].min(axis=1)
    joints = joints.copy()
    joints[:, :, 2] += (height - lowest)[:, None]
    return joints


def _turn(rest, side, swing, raise_):
    forward, left, up = rest
    left = left * side
    forward, up = (
        forward * np.cos(swing) - up * np.sin(swing),
        forward * np.sin(swing) + up * np.cos(swing),
    )
    left, up = (
        left * np.cos(raise_) - up * np.sin(raise_),
        left * np.sin(raise_) + up * np.cos(raise_),
    )
    return np.stack([forward, left, up], axis=-1)
