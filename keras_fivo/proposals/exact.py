"""The exact proposals of linear Gaussian models."""

from collections.abc import Sequence

import keras

from keras_fivo.distributions import Distribution, normal_from_factor
from keras_fivo.linear_gaussian import (
    backward_messages,
    condition_transition,
    matvec,
    messages_of_inputs,
)
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class ExactFilteringProposal(Proposal):
    """p(z_t | z_{t-1}, x_t) of a linear Gaussian cell, which has no weights.

    Missing entries are integrated out. Among the proposals that see no
    future it makes the weights vary least.
    """

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns the mean as a function of z_{t-1}, and the factor."""
        steps = _parameters(self, past)
        message = self.message(steps, messages_of_inputs(steps, inputs))
        return condition_transition(steps, message)

    def message(self, steps: dict, messages: dict) -> dict:
        """Returns what is known of z_t besides z_{t-1}."""
        return messages

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns q(z_t | ...); see `Proposal.distribution`."""
        loc = matvec(present["matrix"], context[0]) + present["offset"]
        return normal_from_factor(loc, present["scale_tril"])


@keras.saving.register_keras_serializable(package="keras_fivo")
class ExactSmoothingProposal(ExactFilteringProposal):
    """p(z_t | z_{t-1}, x_t:T) of a linear Gaussian cell.

    Under it all weights of a sequence are equal: ELBO and IWAE are the log
    evidence, whatever the noise.
    """

    sees_future = True

    def message(self, steps: dict, messages: dict) -> dict:
        """Returns what the present and all later observations say of z_t."""
        return backward_messages(steps, messages)[0]


def _parameters(proposal: Proposal, past: dict) -> dict:
    if "parameters" not in past:
        raise TypeError(
            f"{type(proposal).__name__} needs a linear Gaussian cell. "
            f"Received: a cell whose past has {sorted(past)}. Use "
            "'filtering' or 'smoothing' with other cells."
        )
    return past["parameters"]
