"""What observations say about latents, as quadratic forms.

A message is log p(x | z) = log_constant + shift' z - z' precision z / 2.
"""

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.linear_gaussian.filtering import LOG_TWO_PI, observed_emission
from keras_fivo.linear_gaussian.linear_algebra import (
    congruence,
    log_determinant,
    matvec,
    reverse_cholesky,
    solve_lower,
    solve_positive,
    solve_upper,
    symmetrize,
    transpose,
)
from keras_fivo.types import Tensor


def observation_messages(
    steps: dict, observations: Tensor, observed: Tensor
) -> dict:
    """Log p(x_t | z_t) of what is observed, as a function of z_t.

    Args:
        steps: As from `LinearGaussian.steps`; only the emission is read.
        observations: `(time, batch, features)`, finite where missing.
        observed: Bool `(time, batch, features)`.

    Returns:
        Dict of `precision` `(time, batch, latent_dim, latent_dim)`, `shift`
        `(time, batch, latent_dim)` and `log_constant` `(time, batch)`.
    """
    matrix, noise = observed_emission({**steps, "observed": observed})
    factor = ops.cholesky(noise)
    residual = observations - steps["emission_offset"]
    residual = ops.where(observed, residual, ops.zeros_like(residual))
    whitened = solve_lower(factor, ops.expand_dims(residual, -1))
    seen = solve_lower(factor, matrix)
    count = ops.sum(ops.cast(observed, residual.dtype), axis=-1)
    distance = ops.sum(ops.square(whitened), axis=(-2, -1))
    return {
        "precision": symmetrize(ops.matmul(transpose(seen), seen)),
        "shift": ops.squeeze(ops.matmul(transpose(seen), whitened), -1),
        "log_constant": -0.5
        * (distance + log_determinant(factor) + count * LOG_TWO_PI),
    }


def messages_of_inputs(steps: dict, inputs: dict) -> dict:
    """Log p(x_t | z_t) of what is observed up to each sequence's length.

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


def backward_messages(steps: dict, messages: dict) -> tuple[dict, dict]:
    """What the future says about each latent.

    Args:
        steps: As from `LinearGaussian.steps`; only the transition is read.
        messages: As from `observation_messages`.

    Returns:
        The messages log p(x_t:T | z_t) and log p(x_t+1:T | z_t), in the form
        of `observation_messages`; the second is 0 at the last step.
    """
    inputs = {**messages, **_transition_of(steps)}

    def step(future: dict, now: dict) -> tuple[dict, tuple[dict, dict]]:
        joint = {name: future[name] + now[name] for name in future}
        return _through_transition(now, joint), (joint, future)

    start = keras.tree.map_structure(
        lambda x: ops.zeros_like(x[0]), dict(messages)
    )
    return backend.scan(step, start, inputs, reverse=True)[1]


def _transition_of(steps: dict) -> dict:
    return {
        "matrix": steps["transition_matrix"],
        "offset": steps["transition_offset"],
        "factor": ops.cholesky(steps["transition_covariance"]),
    }


def _through_transition(now: dict, joint: dict) -> dict:
    """Integrates a message over z_t, to one about z_{t-1}.

    With Q = F F', M = I + F' P F: (P^-1 + Q)^-1 = (I - K) P (I - K)' + W W',
    where W = P F M^-1 and K = W F', a sum of squares that rounding leaves
    positive.
    """
    matrix, offset, factor = now["matrix"], now["offset"], now["factor"]
    precision = joint["precision"]
    inner = ops.cholesky(_one_plus(congruence(transpose(factor), precision)))
    weight = transpose(
        solve_positive(inner, ops.matmul(transpose(factor), precision))
    )
    rest = ops.matmul(weight, transpose(factor))
    rest = ops.eye(int(rest.shape[-1])) - rest
    carried = congruence(rest, precision) + symmetrize(
        ops.matmul(weight, transpose(weight))
    )
    residual = joint["shift"] - matvec(precision, offset)
    pulled = solve_lower(
        inner, ops.expand_dims(matvec(transpose(factor), residual), -1)
    )
    at_offset = 0.5 * (joint["shift"] + residual)
    return {
        "precision": congruence(transpose(matrix), carried),
        "shift": matvec(transpose(matrix), matvec(rest, residual)),
        "log_constant": joint["log_constant"]
        + ops.sum(at_offset * offset, axis=-1)
        + 0.5 * ops.sum(ops.square(pulled), axis=(-2, -1))
        - 0.5 * log_determinant(inner),
    }


def condition_transition(steps: dict, precision: Tensor, shift: Tensor) -> dict:
    """p(z_t | z_{t-1}) times a message about z_t, normalised.

    Args:
        steps: As from `LinearGaussian.steps`; only the transition is read.
        precision: `(time, batch, latent_dim, latent_dim)`.
        shift: `(time, batch, latent_dim)`.

    Returns:
        Dict of `matrix`, `offset` and `scale_tril`: a Normal of mean
        `matrix z_{t-1} + offset` and covariance `scale_tril scale_tril'`.
    """
    now = _transition_of(steps)
    factor = now["factor"]
    # The covariance is F M^-1 F'; M = U U' with U upper triangular, so that
    # F U^-T is triangular too.
    upper = reverse_cholesky(
        _one_plus(congruence(transpose(factor), precision))
    )
    scale_tril = transpose(solve_upper(upper, transpose(factor)))
    # F M^-1 F^-1 = I - covariance precision, without the difference.
    shrink = ops.matmul(
        scale_tril,
        solve_upper(upper, solve_lower(factor, now["matrix"])),
    )
    drift = ops.expand_dims(now["offset"], -1)
    drift = ops.matmul(
        scale_tril, solve_upper(upper, solve_lower(factor, drift))
    )
    pulled = matvec(scale_tril, matvec(transpose(scale_tril), shift))
    return {
        "matrix": shrink,
        "offset": ops.squeeze(drift, -1) + pulled,
        "scale_tril": scale_tril,
    }


def _one_plus(matrix: Tensor) -> Tensor:
    return matrix + ops.eye(int(matrix.shape[-1]))
