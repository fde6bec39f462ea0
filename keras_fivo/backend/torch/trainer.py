"""The training step on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch

from keras_fivo.backend.guard import all_finite
from keras_fivo.backend.torch import execution
from keras_fivo.types import Nested


class Trainer:
    """`train_step` and `test_step` of a model that computes named losses."""

    def train_step(self: Any, data: Any) -> dict:
        """Updates weights, optimizer, seed and metrics."""
        variables = self.trainable_variables
        # A model that moves its own variables needs no record of operations.
        with execution.running(self), torch.set_grad_enabled(bool(variables)):
            losses, report = self.compute_losses(data, training=True)
        gradients: list = [None] * len(variables)
        names = list(losses)
        for name in names:
            allowed = {id(v) for v in self.loss_variables(name)}
            own = [i for i, v in enumerate(variables) if id(v) in allowed]
            if not own:
                continue
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
        counted = report["counted"] > 0
        applied = all_finite(losses.values(), gradients) & counted
        # An optimizer that scales losses must see what is not finite.
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        with torch.no_grad():
            if bool(counted if scales else applied):
                self.optimizer.apply(gradients, variables)
            return self.update_metrics(losses, report, applied)

    def test_step(self: Any, data: Any) -> dict:
        """Returns losses and metrics of a batch; moves nothing but the seed."""
        with execution.running(self):
            losses, report = self.compute_losses(data, training=False)
        return self.update_metrics(losses, report)

    def make_train_function(self: Any, force: bool = False) -> None:
        """Keras' own would compile the whole step, loop and all."""
        if self.train_function is None or force:
            self._refuse_many_steps()
            self.train_function = lambda data: self.train_step(data[0])

    def make_test_function(self: Any, force: bool = False) -> None:
        """Sets the function; see `make_train_function`."""
        if self.test_function is None or force:
            self._refuse_many_steps()
            self.test_function = torch.no_grad()(
                lambda data: self.test_step(data[0])
            )

    def make_predict_function(self: Any, force: bool = False) -> None:
        """Sets the function; see `make_train_function`."""
        if self.predict_function is None or force:
            self._refuse_many_steps()
            self.predict_function = compiled(
                lambda data: self.predict_step(data[0]), self, []
            )

    def _refuse_many_steps(self: Any) -> None:
        if self.steps_per_execution > 1:
            raise ValueError(
                "`steps_per_execution` must be 1 with the PyTorch backend. "
                f"Received: steps_per_execution={self.steps_per_execution}"
            )


def compiled(function: Callable, model: Any, moves: list) -> Callable:
    """Returns a function of nested tensors that keeps no gradients.

    Args:
        function: Of nested tensors.
        model: Model whose variables it reads.
        moves: Variables that it changes.
    """

    def call(*arguments: Nested) -> Nested:
        with execution.running(model), torch.no_grad():
            return function(*arguments)

    return call
