"""A proposal that sees the present observation."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_fivo.checks import check_hidden_units
from keras_fivo.distributions import Distribution, Normal
from keras_fivo.heads import NormalHead
from keras_fivo.networks import Sizes
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class FilteringProposal(Proposal):
    """q(z_t | past, x_t), a network over [context, encoded x_t].

    Args:
        hidden_units: Sizes of the hidden layers; None: the cell's default.
        residual: Whether the network's mean is added to the transition's.
        min_scale: Smallest standard deviation; None: the cell's default.
        scale_bias: Bias of the raw scale; None: the cell's default.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] | None = None,
        residual: bool = True,
        min_scale: float | None = None,
        scale_bias: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_units = check_hidden_units(hidden_units)
        self.residual = residual
        self.min_scale = min_scale
        self.scale_bias = scale_bias

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        options = {"activation": sizes.activation, **sizes.scale_options}
        for name in ("min_scale", "scale_bias"):
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        hidden_units = self.hidden_units
        self.head = NormalHead(
            sizes.latent_dim,
            sizes.hidden_units if hidden_units is None else hidden_units,
            adaptive=False,
            name="head",
            dtype=self.dtype_policy,
            **options,
        )
        # The places of the features that are known before the loop.
        self.known = {
            name: place
            for place, name in enumerate(sizes.features)
            if name in sizes.known
        }
        self.head.build([*sizes.context_dims, sizes.present_dim])

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Projects all that is known, for all steps."""
        known = {place: past[name] for name, place in self.known.items()}
        return {"head": self.head.project({**known, -1: present})}

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns q(z_t | ...); see `Proposal.distribution`."""
        proposal: Any = self.head.distribution([*context, present["head"]])
        if not self.residual:
            return proposal
        return Normal(proposal.loc + transition.mean, proposal.scale)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "hidden_units": self.hidden_units,
            "residual": self.residual,
            "min_scale": self.min_scale,
            "scale_bias": self.scale_bias,
        }
        return {**super().get_config(), **config}
