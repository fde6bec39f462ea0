"""A proposal that sees the present and all later observations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_fivo.networks import Recurrence, Sizes
from keras_fivo.proposals.filtering import FilteringProposal
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class SmoothingProposal(FilteringProposal):
    """q(z_t | past, x_t:T), over [context, backward RNN at t].

    The backward RNN reads the encoded observations from each sequence's own
    last step; where the cell gives it features of the past that depend on
    observations alone (the SRNN's h_t), it reads [h_t, encoded x_t].

    Args:
        hidden_units: Sizes of the hidden layers; None: the cell's default.
        residual: Whether the network's mean is added to the transition's.
        min_scale: Smallest standard deviation; None: the cell's default.
        scale_bias: Bias of the raw scale; None: the cell's default.
        recurrent_units: Size of the backward LSTM; None: the cell's.
    """

    sees_future = True

    def __init__(
        self,
        hidden_units: Sequence[int] | None = None,
        residual: bool = True,
        min_scale: float | None = None,
        scale_bias: float | None = None,
        recurrent_units: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hidden_units, residual, min_scale, scale_bias, **kwargs
        )
        self.recurrent_units = recurrent_units

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        units = self.recurrent_units or sizes.recurrent_dim
        self.backward = Recurrence.backward(units, self.dtype_policy)
        known_dim = sum(sizes.features[name] for name in sizes.known)
        self.backward.build(known_dim + sizes.present_dim)
        super().build(replace(sizes, present_dim=units))

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns the backward RNN's part of the first layer, for all steps."""
        known = [past[name] for name in self.known]
        features = self.backward.run(
            ops.concatenate([*known, present], axis=-1),
            inputs["active"],
            reverse=True,
        )
        return super().look_ahead(past, features, inputs)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"recurrent_units": self.recurrent_units}
        return {**super().get_config(), **config}
