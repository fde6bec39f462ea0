"""A proposal that sees the present and all later observations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_fivo.networks import Recurrence
from keras_fivo.proposals.filtering import FilteringProposal
from keras_fivo.proposals.proposal import ProposalSizes
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

    def build(self, sizes: ProposalSizes) -> None:
        """Creates the weights."""
        units = self.recurrent_units or sizes.recurrent_dim
        self.backward = Recurrence(
            keras.layers.LSTMCell(
                units, name="lstm_cell", dtype=self.dtype_policy
            ),
            name="backward",
            dtype=self.dtype_policy,
        )
        known = zip(sizes.known_context, sizes.context_dims, strict=False)
        known_dim = sum(size for is_known, size in known if is_known)
        self.backward.build(known_dim + sizes.present_dim)
        super().build(replace(sizes, present_dim=units))

    def look_ahead(
        self,
        past: Nested,
        present: Tensor,
        inputs: dict,
        known: Sequence[Tensor | None] = (),
    ) -> Nested:
        """The backward RNN's part of the first layer, for all steps."""
        features = [x for x in known if x is not None]
        features = self.backward.run(
            ops.concatenate([*features, present], axis=-1),
            inputs["active"],
            reverse=True,
        )
        return super().look_ahead(past, features, inputs, known)

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {"recurrent_units": self.recurrent_units}
        return {**super().get_config(), **config}
