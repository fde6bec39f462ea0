"""How figures walk, jump and wave, in three dimensions."""

import numpy as np

from recipes.pose.body import (
    LEG_LENGTH,
    LOWER_TRUNK,
    UPPER_TRUNK,
    Left,
    Right,
    place_joints,
    stand,
)

FRAMES_PER_SECOND = 12.5
MOTIONS = ("walk", "jump", "wave")
_GRAVITY = 9.81  # metres per second squared


def move(generator, motion, steps):
    """Returns one motion of a body.

    Args:
        generator: `numpy.random.Generator`.
        motion: str. One of `MOTIONS`.
        steps: Number of steps of the motion.

    Returns:
        Array `(steps, 32, 3)`, in metres: forward, left, up.
    """
    known = dict(zip(MOTIONS, (_walk, _jump, _wave), strict=True))
    if motion not in known:
        raise ValueError(
            f"A motion is one of {', '.join(MOTIONS)}. "
            f"Received: motion={motion!r}."
        )
    return known[motion](generator, steps)


def _walk(generator, steps):
    cadence = generator.uniform(0.6, 0.95)  # strides, of two steps, a second
    stride = generator.uniform(0.3, 0.45)  # radians, of the thigh
    arms = generator.uniform(0.25, 0.6)
    phase, rate = _phase(generator, cadence, steps)
    swing = {
        LOWER_TRUNK: -0.05 + 0.02 * np.sin(2 * phase),
        UPPER_TRUNK: -0.03,
    }
    for side, angle in ((Right, phase), (Left, phase + np.pi)):
        # The knee bends while the thigh swings forward.
        bend = 0.1 + 0.9 * (0.5 + 0.5 * np.cos(angle)) ** 2
        swing[side.thigh] = stride * np.sin(angle) + 0.05
        swing[side.shin] = -bend
        swing[side.foot] = 0.5 * bend - 0.4 * stride * np.sin(angle)
        swing[side.upper_arm] = -arms * np.sin(angle)
        swing[side.forearm] = 0.3 + 0.3 * arms * (1 - np.sin(angle))
    raised = {Left.upper_arm: 0.12, Right.upper_arm: 0.12}
    joints = stand(place_joints(swing, raised, steps))
    # Two steps a stride, each as long as the legs reach.
    speed = 4 * LEG_LENGTH * np.sin(stride) * rate
    joints[:, :, 0] += (np.cumsum(speed) / FRAMES_PER_SECOND)[:, None]
    return joints


def _jump(generator, steps):
    airborne = generator.uniform(0.35, 0.55)  # seconds
    on_ground = generator.uniform(0.55, 0.9)
    depth = generator.uniform(0.5, 0.8)  # radians, of the thighs
    arms = generator.uniform(1.2, 2.6)
    period = airborne + on_ground
    phase, _ = _phase(generator, 1 / period, steps)
    along = phase / (2 * np.pi) % 1 * period
    flying = np.clip((along - on_ground) / airborne, 0, 1)
    crouch = depth * np.sin(np.pi * np.clip(along / on_ground, 0, 1)) ** 2
    tuck = 0.35 * np.sin(np.pi * flying)
    height = _GRAVITY * airborne**2 / 2 * flying * (1 - flying)
    lift = np.sin(np.pi * flying) ** 2
    swing = {LOWER_TRUNK: -0.7 * crouch, UPPER_TRUNK: -0.1 * crouch}
    for side in (Right, Left):
        swing[side.thigh] = crouch + tuck
        swing[side.shin] = -2 * crouch - 2 * tuck
        swing[side.foot] = crouch - 0.9 * lift
        swing[side.upper_arm] = -0.9 * crouch + arms * lift
        swing[side.forearm] = 0.3 + 0.2 * lift
    raised = {Left.upper_arm: 0.2, Right.upper_arm: 0.2}
    return stand(place_joints(swing, raised, steps), height)


def _wave(generator, steps):
    phase, _ = _phase(generator, generator.uniform(0.8, 1.6), steps)
    sway, _ = _phase(generator, generator.uniform(0.2, 0.4), steps)
    width = generator.uniform(0.3, 0.6)  # radians, of the forearm
    raised_to = generator.uniform(1.7, 2.3)
    waving, other = [(Left, Right), (Right, Left)][generator.integers(2)]
    swing = {other.upper_arm: 0.1 * np.sin(sway)}
    # The weight goes from leg to leg; the one that bears less of it bends.
    for side, angle in ((Right, sway), (Left, sway + np.pi)):
        bend = 0.12 + 0.12 * np.sin(angle)
        swing[side.thigh] = bend
        swing[side.shin] = -2 * bend
        swing[side.foot] = bend
    raised = {
        LOWER_TRUNK: 0.06 * np.sin(sway),
        waving.upper_arm: raised_to + 0.15 * np.sin(phase),
        waving.forearm: 0.6 + width * np.sin(phase + 0.4),
        other.upper_arm: 0.15,
    }
    return stand(place_joints(swing, raised, steps))


def _phase(generator, cycles_per_second, steps):
    """Returns an angle that rises at a rate that wanders a little.

    Returns:
        `(phase, rate)`: radians, and cycles per second, `(steps,)`.
    """
    wander, wanders = 0.0, []
    for shock in generator.normal(0.0, 1.0, steps):
        wander = 0.9 * wander + 0.04 * shock
        wanders.append(wander)
    rate = cycles_per_second * np.exp(wanders)
    start = generator.uniform(0, 2 * np.pi)
    return start + 2 * np.pi * np.cumsum(rate) / FRAMES_PER_SECOND, rate
