"""The Kalman smoother, in the form of Rauch, Tung and Striebel."""

from keras import ops

from keras_fivo import backend
from keras_fivo.linear_gaussian.linear_algebra import (
    absorb,
    each_times,
    matvec,
    solve_lower,
    solve_upper,
    transpose,
    triangular_root,
)
from keras_fivo.types import Tensor


def backward_conditionals(steps: dict, found: dict) -> dict:
    """Returns p(z_t | z_{t+1}, x_1:t) of all steps but the last.

    Its mean is `mean_t + gain_t (z_{t+1} - predicted_mean_{t+1})`.

    Args:
        steps: As from `LinearGaussian.steps`.
        found: As from `filter_steps`.

    Returns:
        Dict of `mean`, `gain`, `predicted` and `root`, `(time - 1, batch,
        ...)`; a root times its transpose is the covariance.
    """
    # z_{t+1} is an observation of z_t whose noise is that of the transition.
    factor = steps["transition_factor"][1:]
    whitened = solve_lower(factor, steps["transition_matrix"][1:])
    root, turned, _ = absorb(found["roots"][:-1], whitened)
    turned = transpose(solve_upper(transpose(factor), transpose(turned)))
    return {
        "mean": found["means"][:-1],
        "gain": ops.matmul(root, turned),
        "predicted": found["predicted_means"][1:],
        "root": root,
    }


def smooth_steps(found: dict, back: dict) -> tuple[Tensor, Tensor]:
    """Smooths with parameters by step.

    Args:
        found: As from `filter_steps`.
        back: As from `backward_conditionals`.

    Returns:
        Means `(time, batch, latent_dim)` and roots of covariances.
    """
    last = found["means"][-1], found["roots"][-1]

    def step(carry: tuple, now: dict) -> tuple[tuple, tuple]:
        mean, root = carry
        mean = now["mean"] + matvec(now["gain"], mean - now["predicted"])
        root = triangular_root(ops.matmul(now["gain"], root), now["root"])
        return (mean, root), (mean, root)

    ends = tuple(ops.expand_dims(x, 0) for x in last)
    if int(found["means"].shape[0]) == 1:
        return ends
    _, before = backend.scan(step, last, back, reverse=True)
    return tuple(
        ops.concatenate([x, end], axis=0)
        for x, end in zip(before, ends, strict=True)
    )


def sample_steps(found: dict, back: dict, noise: Tensor) -> Tensor:
    """Samples whole paths, from the last step back.

    Args:
        found: As from `filter_steps`.
        back: As from `backward_conditionals`.
        noise: `(time, batch, samples, latent_dim)`, standard Normal.

    Returns:
        Latents, of the shape of the noise.
    """
    last = ops.expand_dims(found["means"][-1], 1)
    last = last + each_times(found["roots"][-1], noise[-1])
    end = ops.expand_dims(last, 0)
    if int(noise.shape[0]) == 1:
        return end
    spread = each_times(back["root"], noise[:-1])

    def step(latent: Tensor, now: dict) -> tuple[Tensor, Tensor]:
        distance = latent - ops.expand_dims(now["predicted"], 1)
        latent = each_times(now["gain"], distance) + now["spread"]
        latent = latent + ops.expand_dims(now["mean"], 1)
        return latent, latent

    names = ("mean", "gain", "predicted")
    inputs = {**{name: back[name] for name in names}, "spread": spread}
    _, before = backend.scan(step, last, inputs, reverse=True)
    return ops.concatenate([before, end], axis=0)
