"""A learned twist that sees all later observations."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.axes import next_step
from keras_fivo.checks import check_hidden_units
from keras_fivo.networks import Network, Recurrence, Sizes
from keras_fivo.twists.twist import LearnedTwist
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LookAheadTwist(LearnedTwist):
    """log r, a network over [context, z_t, backward RNN after step t].

    The backward RNN reads the encoded observations from each sequence's own
    last step to t + 1. What is missing enters as the centre.

    Args:
        hidden_units: Sizes of the hidden layers; None: the cell's default.
        recurrent_units: Size of the backward LSTM; None: the cell's default.
        objective: See `LearnedTwist`.
        num_samples: Number of model samples, likewise.

    Reference:
        Lawson et al., 2022, "SIXO: Smoothing Inference with Twisted
        Objectives".
    """

    def __init__(
        self,
        hidden_units: Sequence[int] | None = None,
        recurrent_units: int | None = None,
        objective: str = "density_ratio",
        num_samples: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, num_samples, **kwargs)
        self.hidden_units = check_hidden_units(hidden_units)
        self.recurrent_units = recurrent_units

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        hidden_units, units = self.hidden_units, self.recurrent_units
        units = int(units or sizes.recurrent_dim)
        self.backward = Recurrence.backward(units, self.dtype_policy)
        self.backward.build(sizes.present_dim)
        self.network = Network(
            [
                *(sizes.hidden_units if hidden_units is None else hidden_units),
                1,
            ],
            sizes.activation,
            name="network",
            dtype=self.dtype_policy,
        )
        self.network.build([*sizes.context_dims, sizes.embedded_dim, units])
        # Training begins with r = 1, which is no twist.
        last = self.network.dense[-1].kernel
        last.assign(ops.zeros(last.shape))

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns the backward RNN's part of the first layer, for all steps."""
        features = self.backward.run(present, inputs["active"], reverse=True)
        return {"network": self.network.project({-1: next_step(features)})}

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Returns log r, `(rows,)`; see `Twist.log_twist`."""
        value = self.network.call([*context, latent, look_ahead["network"]])
        return ops.cast(ops.squeeze(value, -1), "float32")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "hidden_units": self.hidden_units,
            "recurrent_units": self.recurrent_units,
        }
        return {**super().get_config(), **config}
