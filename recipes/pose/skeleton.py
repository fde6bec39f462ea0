"""The 32 joints of a pose, and the bones between them.

Joints and bones are those of Human3.6M (Ionescu et al., 2014), whose hands
and feet have more joints than move. A step of 64 values holds the 32 x values
of the joints, then their 32 y values.
"""

import numpy as np

# The joint that each hangs on; the hips, joint 0, on nothing.
PARENTS = (
    *(-1, 0, 1, 2, 3, 4),  # hips; right hip, knee, ankle, toes, their tip
    *(0, 6, 7, 8, 9),  # left hip, knee, ankle, toes, their tip
    *(0, 11, 12, 13, 14),  # base of the spine, chest, neck, nose, crown
    *(12, 16, 17, 18, 19, 20, 19, 22),  # left collar, shoulder, elbow, wrist,
    *(12, 24, 25, 26, 27, 28, 27, 30),  # thumb, its tip, hand, its tip; right
)
NUM_JOINTS = len(PARENTS)
NUM_FEATURES = 2 * NUM_JOINTS
BONES = tuple(
    (parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0
)
RIGHT = frozenset((*range(1, 6), *range(24, 32)))
LEFT = frozenset((*range(6, 11), *range(16, 24)))


def to_joints(steps):
    """Returns the places of the joints.

    Args:
        steps: Array `(..., 64)`.

    Returns:
        Array `(..., 32, 2)` of x and y.
    """
    steps = np.asarray(steps)
    x, y = steps[..., :NUM_JOINTS], steps[..., NUM_JOINTS:]
    return np.stack([x, y], axis=-1)


def from_joints(joints):
    """Steps from the places of the joints; undoes `to_joints`.

    Args:
        joints: Array `(..., 32, 2)`.

    Returns:
        Array `(..., 64)`.
    """
    return np.concatenate([joints[..., 0], joints[..., 1]], axis=-1)
