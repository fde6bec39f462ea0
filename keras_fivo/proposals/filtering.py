"""A proposal that sees the present observation."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_fivo.distributions import Distribution, Normal
from keras_fivo.heads import NormalHead
from keras_fivo.proposals.proposal import NormalProposal, ProposalSizes
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class FilteringProposal(NormalProposal):
    """q(z_t | past, x_t), a network over [context, encoded x_t].

    Args:
        hidden_units: Sizes of the hidden layers; None: the cell's default.
        residual: Whether the network's mean is added to the transition's.
        min_scale: Smallest standard deviation; None: the cell's default.
        scale_bias: Bias of the raw scale; None: the cell's default.
    """

    def build(self, sizes: ProposalSizes) -> None:
        """Creates the weights."""
        options = dict(sizes.scale_options)
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
        self.known = [*sizes.known_context] or [False] * len(sizes.context_dims)
        self.head.build([*sizes.context_dims, sizes.present_dim])

    def look_ahead(
        self,
        past: Nested,
        present: Tensor,
        inputs: dict,
        known: Sequence[Tensor | None] = (),
    ) -> Nested:
        """What the first layer takes of all that is known, for all steps."""
        known = known or [None] * len(self.known)
        return {"head": self.head.read_ahead([*known, present])}

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """q(z_t | ...); see `Proposal.distribution`."""
        remaining = [
            None if known else feature
            for known, feature in zip(self.known, context, strict=True)
        ]
        proposal: Any = self.head.distribution(remaining, present["head"])
        if not self.residual:
            return proposal
        return Normal(proposal.loc + transition.mean, proposal.scale)
