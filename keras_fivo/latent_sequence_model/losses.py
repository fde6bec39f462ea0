"""What a step of training minimises."""

from typing import Any

from keras import ops

from keras_fivo.latent_sequence_model.twist_training import (
    density_ratio_loss,
    draw_density_ratio_noise,
)
from keras_fivo.smc import FilterResult
from keras_fivo.types import SeedLike, Tensor


def bound_loss(
    result: FilterResult,
    sample_weight: Tensor | None,
    loss_per: str,
    training: bool,
) -> tuple[Tensor, Tensor]:
    """Returns the weighted mean of -bound, and the sum of its weights.

    Args:
        result: Of the bound's filter.
        sample_weight: Weights of the sequences, `(batch,)`; None: all one.
        loss_per: `"step"`, where each bound is divided by the sequence's
            length, or `"sequence"`.
        training: Whether sequences whose particles all died are left out.

    Returns:
        Two scalars, the loss in nats.
    """
    bounds = result.log_evidence
    lengths = ops.cast(result.lengths, "float32")
    counted = lengths > 0
    if training:
        # No weight brings the dead to life: their gradient is zero.
        counted = counted & (bounds != -float("inf"))
    weights = ops.cast(counted, "float32")
    if sample_weight is not None:
        weights = weights * ops.cast(sample_weight, "float32")
    bounds = ops.where(weights > 0, bounds, ops.zeros_like(bounds))
    if loss_per == "step":
        bounds = bounds / ops.maximum(lengths, 1.0)
    total = ops.sum(weights)
    loss = -ops.sum(bounds * weights) / ops.where(total > 0, total, 1.0)
    return loss, total


def own_objective(twist: Any) -> str | None:
    """Returns the objective of a twist's own weights; None: the bound."""
    return None if twist is None else twist.own_objective


def twist_loss(
    cell: Any, inputs: dict, seed: SeedLike, bound_loss: Tensor
) -> Tensor:
    """Returns what the weights of a cell's twist alone minimise.

    Args:
        cell: Built cell whose twist has an objective of its own.
        inputs: As from `prepare_inputs`.
        seed: Seed generator of the model's samples.
        bound_loss: Loss of the model's weights.
    """
    if own_objective(cell.twist) == "temporal_difference":
        # Of log r, the bound has the mean over the weighted particles of
        # a step less that over their descendants at the next resampling:
        # its descent lifts r where those are, and rests where they agree.
        return -bound_loss
    num_steps, batch = ops.shape(inputs["active"])
    noise = draw_density_ratio_noise(cell, num_steps, batch, seed)
    return density_ratio_loss(cell, inputs, noise)
