"""Training a twist to tell which future belongs to which latent."""

from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import number_steps
from keras_fivo.inference.generation import (
    draw_generation_noise,
    generate,
)
from keras_fivo.noise import Noise
from keras_fivo.twists import TwistedCell
from keras_fivo.types import Nested, Tensor


def draw_density_ratio_noise(
    cell: Any, num_steps: int, batch: int, seed: Any
) -> Noise:
    """Draws all random numbers of `density_ratio_loss`."""
    rows = batch * cell.twist.num_samples
    return draw_generation_noise(cell, num_steps, rows, seed)


def density_ratio_loss(cell: Any, inputs: dict, noise: Noise) -> Tensor:
    """Estimates the ratio p(x_t+1:T | z_t) / p(x_t+1:T) by classification.

    For each sequence of the batch the model samples several, under the same
    lengths, missing entries and controls. Given the future of one of them
    after step t, the twist has to tell its z_t from those of the others:
    the loss is the cross-entropy of r(future | z_t), normalised over the
    latents. At its minimum r is p(x_t+1:T | z_t, ...) times what depends on
    the future alone, which drops out of the filter.

    Args:
        cell: A built cell with a twist.
        inputs: As from `prepare_inputs`.
        noise: As from `draw_density_ratio_noise`.

    Returns:
        Scalar, in nats: the mean over steps and samples.

    Reference:
        Lawson et al., 2022, "SIXO: Smoothing Inference with Twisted
        Objectives", with more than one other latent to tell from: van den
        Oord et al., 2018, "Representation Learning with Contrastive
        Predictive Coding".
    """
    count = cell.twist.num_samples
    num_steps, batch = ops.shape(inputs["active"])
    sampled, latents = _sample(cell, inputs, noise, count)
    twisted = TwistedCell(cell)
    read, look_ahead = _readings(twisted, sampled, latents)
    value = twisted.log_twist(
        # Each future (third axis) meets each latent (fourth axis).
        _pairs(read, num_steps, batch, count, 2),
        _pairs(look_ahead, num_steps, batch, count, 3),
    )
    logits = ops.reshape(value, (num_steps, batch, count, count))
    own = ops.diagonal(logits, axis1=2, axis2=3)
    loss = ops.mean(ops.logsumexp(logits, axis=3) - own, axis=2)
    active = inputs["active"]
    counts = ops.concatenate([active[1:], ops.zeros_like(active[:1])], axis=0)
    total = ops.sum(ops.where(counts, loss, ops.zeros_like(loss)))
    return total / ops.maximum(ops.sum(ops.cast(counts, "float32")), 1.0)


def _sample(
    cell: Any, inputs: dict, noise: Noise, count: int
) -> tuple[dict, Tensor]:
    """Returns inputs of sampled observations, `(time, batch * count, ...)`."""
    names = ("observations", "observed", "active", "controls")
    # (time, batch, ...) -> (time, batch * count, ...)
    wide = {
        x: ops.repeat(inputs[x], count, axis=1) for x in names if x in inputs
    }
    rows = int(ops.shape(wide["active"])[1])
    start = {
        "particles": cell.get_initial_state(rows),
        "observed": cell.initial_observed_state(rows),
        "step": ops.zeros((rows,), "int32"),
    }
    found = generate(cell, start, noise, wide.get("controls"), wide["observed"])
    found = keras.tree.map_structure(ops.stop_gradient, found)
    return {**wide, "observations": found["observations"]}, found["latents"]


def _readings(
    twisted: TwistedCell, inputs: dict, latents: Tensor
) -> tuple[list, Nested]:
    """Returns what the twist reads of each step, and of its future."""
    cell = twisted.cell
    num_steps, rows = ops.shape(inputs["active"])
    observed_state = cell.initial_observed_state(rows)
    past, present, _ = cell.encode(inputs, observed_state)
    past = {**past, "step": number_steps(num_steps, rows)}

    def step(states: Nested, now: dict) -> tuple[Nested, list]:
        context = cell.recur(states, now["past"])
        embedded = cell.embed(now["latent"])
        read = twisted.read(context, embedded)
        return cell.next_states(context, embedded), read

    scanned = {"past": past, "latent": latents}
    _, read = backend.scan(step, cell.get_initial_state(rows), scanned)
    return read, twisted.look_ahead(past, present, inputs)


def _pairs(
    tree: Nested, num_steps: int, batch: int, count: int, axis: int
) -> Nested:
    """Turns `(time, batch * count, ...)` into rows, repeated on a new axis."""

    def repeat(x: Tensor) -> Tensor:
        event = ops.shape(x)[2:]
        parted = ops.reshape(x, (num_steps, batch, count, *event))
        shape = (num_steps, batch, count, count, *event)
        wide = ops.broadcast_to(ops.expand_dims(parted, axis), shape)
        return ops.reshape(wide, (-1, *event))

    return keras.tree.map_structure(repeat, tree)
