"""The scan and the training step on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch

from keras_fivo.types import Nested


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`."""
    columns = [x.unbind(0) for x in keras.tree.flatten(inputs)]
    times = range(len(columns[0]))
    outputs, structure = [], None
    for time in reversed(times) if reverse else times:
        now = keras.tree.pack_sequence_as(inputs, [c[time] for c in columns])
        carry, structure = step(carry, now)
        outputs.append(keras.tree.flatten(structure))
    if reverse:
        outputs.reverse()
    stacked = [torch.stack(column) for column in zip(*outputs, strict=True)]
    return carry, keras.tree.pack_sequence_as(structure, stacked)


class Trainer:
    """`train_step` and `test_step` of a model that computes named losses."""

    def train_step(self: Any, data: Any) -> dict:
        """One update of weights, optimizer, seed and metrics."""
        losses, report = self.compute_losses(data, training=True)
        variables = self.trainable_variables
        gradients: list = [None] * len(variables)
        names = list(losses)
        for name in names:
            allowed = {id(v) for v in self.loss_variables(name)}
            own = [i for i, v in enumerate(variables) if id(v) in allowed]
            found = torch.autograd.grad(
                self.optimizer.scale_loss(losses[name]),
                [variables[i].value for i in own],
                retain_graph=name != names[-1],
                allow_unused=True,
            )
            for i, gradient in zip(own, found, strict=True):
                if gradient is not None:
                    gradients[i] = (
                        gradient
                        if gradients[i] is None
                        else gradients[i] + gradient
                    )
        losses = {name: loss.detach() for name, loss in losses.items()}
        finite = _all_finite([*losses.values(), *gradients])
        with torch.no_grad():
            if bool(finite) or isinstance(
                self.optimizer, keras.optimizers.LossScaleOptimizer
            ):
                self.optimizer.apply(gradients, variables)
            return self.update_metrics(losses, report, finite)

    def test_step(self: Any, data: Any) -> dict:
        """The losses and metrics of one batch; moves nothing but the seed."""
        losses, report = self.compute_losses(data, training=False)
        return self.update_metrics(
            losses, report, _all_finite(list(losses.values()))
        )


def _all_finite(tensors: list) -> torch.Tensor:
    checks = [torch.isfinite(x).all() for x in tensors if x is not None]
    return torch.stack(checks).all()


def compiled(function: Callable, model: Any) -> Callable:
    """A function of nested tensors that keeps no gradients."""

    def call(*arguments: Nested) -> Nested:
        with torch.no_grad():
            return function(*arguments)

    return call
