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
from keras_fivo.proposals.iterative import STARTS
from keras_fivo.proposals.iterative import (
    IterativeProposal as IterativeProposal,
)
from keras_fivo.proposals.linear import (
    LinearFilteringProposal as LinearFilteringProposal,
)
from keras_fivo.proposals.linear import (
    LinearSmoothingProposal as LinearSmoothingProposal,
)
from keras_fivo.proposals.proposal import Proposal as Proposal
from keras_fivo.proposals.proposal import Refinement as Refinement
from keras_fivo.proposals.smoothing import (
    SmoothingProposal as SmoothingProposal,
)
from keras_fivo.proposals.transition import (
    TransitionProposal as TransitionProposal,
)
from keras_fivo.proposals.updates import GradientUpdate as GradientUpdate
from keras_fivo.proposals.updates import HighwayUpdate as HighwayUpdate
from keras_fivo.proposals.updates import LearnedSGDUpdate as LearnedSGDUpdate
from keras_fivo.proposals.updates import Update as Update

_PROPOSALS: dict[str, type[Proposal]] = {
    **STARTS,
    "iterative": IterativeProposal,
}


def get_proposal(identifier: Any) -> Proposal:
    """Returns a proposal from an object or a name; see `find`."""
    return find(identifier, _PROPOSALS, Proposal, "proposal")
