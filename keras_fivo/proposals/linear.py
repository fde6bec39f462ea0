"""Learned linear proposals, with parameters of each step's own."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_count
from keras_fivo.distributions import Distribution, Normal
from keras_fivo.networks import Sizes, at_steps, by_pair, from_first_step
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LinearFilteringProposal(Proposal):
    """q(z_t | z_{t-1}, x_t), linear, with parameters of each step's own.

    The mean is linear in [z_{t-1}, x_t], in the first step in x_1; the
    variance is constant. Steps beyond the last take its parameters. What is
    missing enters as the centre.

    Args:
        num_steps: Number of steps that have parameters.
    """

    def __init__(self, num_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_steps = check_count("num_steps", num_steps)

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        size, total = sizes.latent_dim, self.num_steps
        if sizes.context_dims != [size]:
            raise ValueError(
                f"{type(self).__name__} needs a cell whose only context is "
                "the previous latent. Received: context of sizes "
                f"{sizes.context_dims}"
            )
        shapes = {
            "bias": (total, size),
            "log_variance": (total, size),
            "data_kernel": self.data_kernel_shape(sizes.present_dim, size),
        }
        if total > 1:
            shapes["latent_kernel"] = (total - 1, size, size)
        for name, shape in shapes.items():
            kernel = name.endswith("kernel")
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer=keras.initializers.RandomNormal(stddev=0.1)
                if kernel
                else "zeros",
                autocast=False,
                dtype="float32",
            )
            setattr(self, name, weight)

    def data_kernel_shape(self, present_dim: int, latent_dim: int) -> tuple:
        """Returns the shape of the weight that the observations take."""
        return (self.num_steps, present_dim, latent_dim)

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns parameters of steps, and the observations' part of means."""
        step = ops.minimum(past["step"], self.num_steps - 1)
        size = int(self.bias.shape[-1])
        if self.num_steps > 1:
            before = ops.maximum(step - 1, 0)
            kernel = _take(self.latent_kernel, before)
            first = ops.reshape(step == 0, (*ops.shape(step), 1, 1))
            kernel = ops.where(first, ops.zeros_like(kernel), kernel)
        else:
            kernel = ops.zeros((*ops.shape(step), size, size))
        log_variance = _take(self.log_variance, step)
        seen = self.read(ops.cast(present, "float32"), step, inputs)
        return {
            "kernel": kernel,
            "offset": seen + _take(self.bias, step),
            "scale": ops.exp(0.5 * log_variance),
        }

    def read(self, present: Tensor, step: Tensor, inputs: dict) -> Tensor:
        """Returns the observations' part, `(time, batch, latent_dim)`."""
        kernel = _take(self.data_kernel, step)
        return ops.einsum("tbd,tbdl->tbl", present, kernel)

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns q(z_t | ...); see `Proposal.distribution`."""
        # (rows, size) -> (rows, 1, size), times (rows, size, size)
        latent = ops.expand_dims(context[0], 1)
        loc = ops.squeeze(ops.matmul(latent, present["kernel"]), 1)
        return Normal(loc + present["offset"], present["scale"])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_steps": self.num_steps}


@keras.saving.register_keras_serializable(package="keras_fivo")
class LinearSmoothingProposal(LinearFilteringProposal):
    """q(z_t | z_{t-1}, x_t:T), linear, with parameters of each step's own.

    The mean is linear in [z_{t-1}, x_t, ..., x_T], in the first step in all
    observations; the variance is constant. Observations beyond a sequence's
    length count as zero, missing ones as the centre. The number of weights
    grows with the square of the number of steps.

    Args:
        num_steps: Number of steps of the longest sequence, those before a
            filter's state included.
    """

    sees_future = True

    @property
    def max_steps(self) -> int:
        """Length of the longest sequence that it takes."""
        return self.num_steps

    def data_kernel_shape(self, present_dim: int, latent_dim: int) -> tuple:
        """Returns the shape of one matrix for each pair of steps s >= t."""
        pairs = self.num_steps * (self.num_steps + 1) // 2
        return (pairs, present_dim, latent_dim)

    def read(self, present: Tensor, step: Tensor, inputs: dict) -> Tensor:
        """Returns the observations' part, `(time, batch, latent_dim)`."""
        active = ops.expand_dims(inputs["active"], -1)
        present = ops.where(active, present, ops.zeros_like(present))
        present = from_first_step(present, step, self.num_steps)
        kernel = by_pair(self.data_kernel, self.num_steps, gap=0)
        return at_steps(ops.einsum("sbd,tsdl->tbl", present, kernel), step)


def _take(weight: Any, step: Tensor) -> Tensor:
    return ops.take(ops.convert_to_tensor(weight), step, axis=0)
