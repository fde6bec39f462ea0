"""Where latents are drawn from: q(z_t | ...)."""

from typing import Any

from keras_fivo.lookup import find
from keras_fivo.proposals.exact import (
    ExactFilteringProposal as ExactFilteringProposal,
)
from keras_fivo.proposals.exact import (
    ExactSmoothingProposal as ExactSmoothingProposal,
)
from keras_fivo.proposals.filtering import (
    FilteringProposal as FilteringProposal,
)
from keras_fivo.proposals.linear import (
    LinearFilteringProposal as LinearFilteringProposal,
)
from keras_fivo.proposals.linear import (
    LinearSmoothingProposal as LinearSmoothingProposal,
)
from keras_fivo.proposals.proposal import Proposal as Proposal
from keras_fivo.proposals.smoothing import (
    SmoothingProposal as SmoothingProposal,
)
from keras_fivo.proposals.transition import (
    TransitionProposal as TransitionProposal,
)

_PROPOSALS: dict[str, type[Proposal]] = {
    "transition": TransitionProposal,
    "filtering": FilteringProposal,
    "smoothing": SmoothingProposal,
    "exact_filtering": ExactFilteringProposal,
    "exact_smoothing": ExactSmoothingProposal,
}


def get_proposal(identifier: Any) -> Proposal:
    """Returns a proposal from an object or a name; see `find`."""
    return find(identifier, _PROPOSALS, Proposal, "proposal")
