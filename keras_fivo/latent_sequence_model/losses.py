"""What a step of training minimises."""

from dataclasses import replace
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
        result: Result of the bound's filter.
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


def own_losses(
    cell: Any,
    inputs: dict,
    result: FilterResult,
    seed: SeedLike,
    sample_weight: Tensor | None,
    loss_per: str,
) -> dict:
    """Returns losses by name that move the weights of one part alone.

    Args:
        cell: Built cell.
        inputs: As from `prepare_inputs`.
        result: Result of the bound's filter.
        seed: Seed generator of the model's samples.
        sample_weight: As for `bound_loss`.
        loss_per: As for `bound_loss`.
    """
    losses = {}
    arguments = (result, sample_weight, loss_per, True)
    if own_objective(cell.twist):
        loss, _ = bound_loss(*arguments)
        losses["twist_loss"] = twist_loss(cell, inputs, seed, loss)
    if cell.proposal.has_own_loss:
        if sample_weight is not None and cell.proposal.learner(0.0):
            raise ValueError(
                "A proposal that learns online weighs all sequences alike. "
                "Received: sample_weight. Set online=False."
            )
        energies = cell.proposal.own_free_energy(result.free_energies)
        # (batch, time, particles) -> (batch,)
        total = -ops.sum(ops.mean(energies, axis=-1), axis=-1)
        alike = replace(result, log_evidence=total)
        losses["inference_loss"], _ = bound_loss(alike, *arguments[1:])
    return losses


def moved_variables(cell: Any, name: str, variables: list) -> list:
    """Returns the variables that the loss of that name may move.

    `"loss"` moves all but those of parts with a loss of their own: a twist,
    `"twist_loss"`, and a proposal, `"inference_loss"`.

    Args:
        cell: Built cell.
        name: Name of a loss.
        variables: All trainable variables of the model.
    """
    parts = {}
    if own_objective(cell.twist):
        parts["twist_loss"] = cell.twist.trainable_variables
    if cell.proposal.has_own_loss:
        parts["inference_loss"] = cell.proposal.trainable_variables
    if name != "loss":
        return parts[name]
    taken = {id(v) for part in parts.values() for v in part}
    return [v for v in variables if id(v) not in taken]


def reported_losses(cell: Any) -> list[str]:
    """Returns the names of losses besides the first that are reported."""
    names = []
    if cell.twist is not None and cell.twist.objective == "density_ratio":
        names.append("twist_loss")
    if cell.proposal.has_own_loss:
        names.append("inference_loss")
    return names


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
