"""What observations say about latents, as sums of squares.

A message is log p(x | z) = log_constant - |root z - target|^2 / 2.
"""

import math

from keras import ops

from keras_fivo import backend
from keras_fivo.linear_gaussian.linear_algebra import (
    condense,
    diagonal,
    matvec,
    orthogonal_factors,
    same_batch,
    solve_lower,
    solve_upper,
    square,
    transpose,
    triangular_root,
)
from keras_fivo.types import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


def observation_messages(
    steps: dict, observations: Tensor, observed: Tensor
) -> dict:
    """Returns log p(x_t | z_t) of what is observed, as a function of z_t.

    Args:
        steps: As from `LinearGaussian.steps`; only the emission is read.
        observations: `(time, batch, features)`, finite where missing.
        observed: Bool `(time, batch, features)`.

    Returns:
        Dict of `root` `(time, batch, rows, latent_dim)`, `target` `(time,
        batch, rows)` and `log_constant` `(time, batch)`, with as many rows
        as features, and at most `latent_dim + 1`.
    """
    matrix, factor = _observed_emission(steps, observed)
    residual = observations - steps["emission_offset"]
    residual = ops.where(observed, residual, ops.zeros_like(residual))
    whitened = solve_lower(factor, ops.expand_dims(residual, -1))
    count = ops.sum(ops.cast(observed, residual.dtype), axis=-1)
    log_scale = ops.sum(ops.log(diagonal(factor)), axis=-1)
    return {
        **_condensed(solve_lower(factor, matrix), whitened[..., 0]),
        "log_constant": -log_scale - 0.5 * LOG_TWO_PI * count,
    }


def _observed_emission(steps: dict, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Returns matrix and factor of the emission that tell of what is observed.

    A missing entry gets a row of zeros and independent noise of variance 1.
    """
    row, column = ops.expand_dims(observed, -1), ops.expand_dims(observed, -2)
    matrix = steps["emission_matrix"]
    matrix = ops.where(row, matrix, ops.zeros_like(matrix))
    noise = square(steps["emission_factor"])
    identity = ops.eye(int(noise.shape[-1]), dtype=noise.dtype)
    both = ops.logical_and(row, column)
    return matrix, backend.cholesky(ops.where(both, noise, identity))


def _condensed(root: Tensor, target: Tensor) -> dict:
    rows = ops.concatenate([root, ops.expand_dims(target, -1)], axis=-1)
    rows = condense(rows)
    return {"root": rows[..., :-1], "target": rows[..., -1]}


def messages_of_inputs(steps: dict, inputs: dict) -> dict:
    """Returns log p(x_t | z_t) of what is observed within each length.

    Args:
        steps: As for `observation_messages`.
        inputs: What a cell encodes, time first: `observations`, `observed`
            `(time, batch[, features])` and `active`.

    Returns:
        As `observation_messages`.
    """
    observed = inputs["observed"]
    if len(observed.shape) == 2:
        observed = ops.expand_dims(observed, -1)
    active = ops.expand_dims(inputs["active"], -1)
    observations = inputs["observations"]
    everything = ops.ones_like(observations, dtype="bool")
    observed = ops.logical_and(ops.logical_and(observed, active), everything)
    return observation_messages(steps, observations, observed)


def log_message(message: dict, latent: Tensor) -> Tensor:
    """Returns the value of a message, `(rows,)`, in nats.

    Args:
        message: Message of one step, with rows in the place of the batch.
        latent: `(rows, latent_dim)`.
    """
    # Sums, not products of matrices, which are small and many.
    row = ops.expand_dims(latent, -2)
    residual = ops.sum(message["root"] * row, axis=-1) - message["target"]
    return message["log_constant"] - 0.5 * ops.sum(ops.square(residual), -1)


def backward_messages(steps: dict, messages: dict) -> tuple[dict, dict]:
    """Tells what the future says about each latent.

    Args:
        steps: As from `LinearGaussian.steps`; only the transition is read.
        messages: As from `observation_messages`.

    Returns:
        The messages log p(x_t:T | z_t) and log p(x_t+1:T | z_t), in the form
        of `observation_messages`; the second is 0 at the last step.
    """
    inputs = {**messages, **_transition_of(steps)}

    def step(future: dict, now: dict) -> tuple[dict, tuple[dict, dict]]:
        rows = {
            name: ops.concatenate([future[name], now[name]], axis=1)
            for name in ("root", "target")
        }
        joint = _condensed(**rows)
        joint["log_constant"] = future["log_constant"] + now["log_constant"]
        return _through_transition(now, joint), (joint, future)

    batch = ops.shape(messages["target"])[1]
    size = int(steps["transition_matrix"].shape[-1])
    start = {
        "root": ops.zeros((batch, size + 1, size)),
        "target": ops.zeros((batch, size + 1)),
        "log_constant": ops.zeros((batch,)),
    }
    return backend.scan(step, start, inputs, reverse=True)[1]


def _transition_of(steps: dict) -> dict:
    return {
        name: steps[f"transition_{name}"]
        for name in ("matrix", "offset", "factor")
    }


def _through_transition(now: dict, joint: dict) -> dict:
    """Integrates a message over z_t, to one about z_{t-1}.

    With z_t = A z_{t-1} + b + F w the residual is S A z_{t-1} + S b - y + S F
    w: a Normal of covariance I + S F F' S', whose root whitens the rest.
    """
    root = joint["root"]
    blurred = ops.matmul(root, now["factor"])
    count = int(root.shape[-2])
    identity = ops.eye(count, dtype=root.dtype)
    spread = triangular_root(identity, blurred)
    moved = ops.matmul(root, now["matrix"])
    target = joint["target"] - matvec(root, now["offset"])
    target = solve_lower(spread, ops.expand_dims(target, -1))
    log_scale = ops.sum(ops.log(diagonal(spread)), axis=-1)
    return {
        "root": solve_lower(spread, moved),
        "target": target[..., 0],
        "log_constant": joint["log_constant"] - log_scale,
    }


def condition_transition(steps: dict, message: dict) -> dict:
    """Returns p(z_t | z_{t-1}) times a message about z_t, normalised.

    Args:
        steps: As from `LinearGaussian.steps`; only the transition is read.
        message: As from `observation_messages`.

    Returns:
        Dict of `matrix`, `offset` and `scale_tril`: a Normal of mean
        `matrix z_{t-1} + offset` and covariance `scale_tril scale_tril'`.
    """
    now = _transition_of(steps)
    factor = now["factor"]
    seen = ops.matmul(message["root"], factor)
    size = int(seen.shape[-1])
    # The covariance is F M^-1 F'; M = I + seen' seen = U U' with U upper
    # triangular, so that F U^-T is triangular too. Columns from the last to
    # the first turn R' R into U U'.
    stacked = same_batch(ops.eye(size, dtype=seen.dtype), seen)
    stacked = ops.flip(ops.concatenate(stacked, axis=-2), axis=-1)
    rotation, root = orthogonal_factors(stacked)
    upper = ops.flip(transpose(root), axis=(-2, -1))
    scale_tril = transpose(solve_upper(upper, transpose(factor)))

    def shrink(columns: Tensor) -> Tensor:
        # F M^-1 F^-1 = I - gain rows, without the difference.
        inner = solve_upper(upper, solve_lower(factor, columns))
        return ops.matmul(scale_tril, inner)

    pulled = ops.flip(transpose(rotation[..., size:, :]), axis=-2)
    pulled = matvec(scale_tril, matvec(pulled, message["target"]))
    drift = shrink(ops.expand_dims(now["offset"], -1))
    return {
        "matrix": shrink(now["matrix"]),
        "offset": drift[..., 0] + pulled,
        "scale_tril": scale_tril,
    }
