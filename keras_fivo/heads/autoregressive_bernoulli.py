"""A head for binary entries that depend on each other."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.checks import check_count
from keras_fivo.distributions import AutoregressiveBernoulli, Distribution
from keras_fivo.heads.bernoulli import BernoulliHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class AutoregressiveBernoulliHead(BernoulliHead):
    """Binary entries of which each depends on those before it.

    For piano rolls: each note on the lower notes of its chord. A masked
    network of one hidden layer, shared by all rows, reads the entries
    before; the features shift its hidden units and its log odds. Its output
    starts at zero, so training starts from independent entries, with the
    means of the data after `adapt`.

    A mask may leave out whole steps, not single entries.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        autoregressive_units: Size of the masked network's hidden layer.

    Reference:
        Germain et al., 2015, "MADE"; Boulanger-Lewandowski et al., 2012,
        "Modeling Temporal Dependencies in High-Dimensional Sequences".
    """

    distribution_class = AutoregressiveBernoulli

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        autoregressive_units: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        self.autoregressive_units = check_count(
            "autoregressive_units", autoregressive_units
        )

    @property
    def output_dim(self) -> int:
        """Log odds and hidden units."""
        return self.event_dim + self.autoregressive_units

    def build_weights(self) -> None:
        """Creates the weights; see `Head.build_weights`."""
        super().build_weights()
        entries, units = self.event_dim, self.autoregressive_units
        shapes = {
            "input": ((entries, units), "glorot_uniform"),
            "output": ((units, entries), "zeros"),
            "direct": ((entries, entries), "zeros"),
        }
        self.kernels = {
            name: self.add_weight(
                name=f"{name}_kernel",
                shape=shape,
                initializer=initializer,
                autocast=False,
                dtype="float32",
            )
            for name, (shape, initializer) in shapes.items()
        }
        self.masks = _masks(entries, units)

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads first the log odds, then the hidden units."""
        kernels = {
            name: ops.multiply(kernel, self.masks[name])
            for name, kernel in self.kernels.items()
        }
        return AutoregressiveBernoulli(
            logits=outputs[..., : self.event_dim] + self.initial_bias,
            hidden=outputs[..., self.event_dim :],
            kernels=kernels,
        )

    def check(self, observations: Any) -> None:
        """Raises an error for values that are neither 0 nor 1."""
        if observations.size and np.any(
            (observations != 0) & (observations != 1)
        ):
            raise ValueError(
                "Observations must be 0 or 1: entries depend on each other. "
                f"Received: observations between {observations.min()} and "
                f"{observations.max()}, not all of them 0 or 1."
            )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"autoregressive_units": self.autoregressive_units}
        return {**super().get_config(), **config}


def _masks(entries: int, units: int) -> dict[str, np.ndarray]:
    """Returns 1 where a connection keeps to the order of the entries.

    A hidden unit of degree m reads the first m entries, and is read by all
    but these.
    """
    degrees = 1 + np.arange(units) * max(entries - 1, 1) // units
    order = np.arange(entries)
    reads = order[:, None] < degrees[None, :]
    is_read = degrees[:, None] <= order[None, :]
    direct = order[:, None] < order[None, :]
    return {
        name: mask.astype("float32")
        for name, mask in (
            ("input", reads),
            ("output", is_read),
            ("direct", direct),
        )
    }
