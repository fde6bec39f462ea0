"""The transition as its own proposal."""

from collections.abc import Sequence

import keras

from keras_fivo.distributions import Distribution
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class TransitionProposal(Proposal):
    """Draws from p(z_t | past): the bootstrap filter (Gordon et al., 1993)."""

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns the transition itself."""
        return transition
