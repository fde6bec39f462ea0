"""The exact proposals of cells whose latent is one of a few regimes."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.distributions import Distribution, OneHotCategorical
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.types import Nested, Tensor


def move(log_probs: Tensor, log_transition: Tensor) -> Tensor:
    """Returns the log of a product of probabilities with a matrix.

    Args:
        log_probs: `(batch, regimes)`.
        log_transition: `(regimes, regimes)`, from the first to the second.
    """
    pairs = ops.expand_dims(log_probs, -1) + log_transition
    return ops.logsumexp(pairs, axis=-2)


def regime_messages(log_transition: Tensor, log_emission: Tensor) -> Tensor:
    """Returns log p(x_t:T | z_t), `(time, batch, regimes)`, in nats.

    Args:
        log_transition: `(regimes, regimes)`.
        log_emission: `(time, batch, regimes)`. log p(x_t | z_t).
    """
    # Messages go back: from z_t to z_{t-1}.
    back = ops.transpose(log_transition)

    def step(later: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        message = now + move(later, back)
        return message, message

    # Nothing is known of what comes after the last step.
    end = ops.zeros_like(log_emission[0])
    return backend.scan(step, end, log_emission, reverse=True)[1]


@keras.saving.register_keras_serializable(package="keras_fivo")
class RegimeFilteringProposal(Proposal):
    """p(z_t | z_{t-1}, x_t) of a `SwitchingCell`, which has no weights.

    The log-weight of a step is log p(x_t | z_{t-1}), whatever is drawn:
    gradients need not pass through the draw of a discrete regime.
    """

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns log p(x_t | z_t) of each regime."""
        return present

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns q(z_t | ...); see `Proposal.distribution`."""
        if not isinstance(transition, OneHotCategorical):
            raise TypeError(
                f"{type(self).__name__} needs a cell of regimes. "
                f"Received: transition={transition!r}"
            )
        return OneHotCategorical(transition.logits + present)


@keras.saving.register_keras_serializable(package="keras_fivo")
class RegimeSmoothingProposal(RegimeFilteringProposal):
    """p(z_t | z_{t-1}, x_t:T) of a `SwitchingCell`.

    The log-weights of a sequence add up to log p(x_1:T) on any path: ELBO and
    IWAE are the log evidence, with its gradient, whatever the noise, and
    their latents are samples of p(z_1:T | x_1:T).
    """

    sees_future = True

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns log p(x_t:T | z_t) of each regime."""
        return regime_messages(past["log_transition"], present)
