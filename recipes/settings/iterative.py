"""Settings of proposals that refine themselves, and of what they refine."""

from typing import ClassVar, Literal

from recipes.settings import common
from recipes.settings.base import Positive, PositiveFloat, Settings

Proposal = Literal["filtering", "smoothing", "transition", "iterative"]
Update = Literal["highway", "learned_sgd", "gradient"]


class RefinementSettings(Settings):
    """How a proposal refines itself."""

    heading: ClassVar[str] = "Refinement (proposal=iterative)"
    start: common.Proposal = "transition"
    """Proposal that is refined."""
    num_iterations: Positive = 1
    """Number of refinements."""
    update: Update = "highway"
    """Kind of refinement: `highway` and `learned_sgd` are networks that read
    the gradient, `gradient` plain steps of two learned rates."""
    update_units: tuple[Positive, ...] | None = None
    """Sizes of the layers of that network. If they are not set, two of the
    largest hidden size."""
    update_reads: Literal["observation", "encoding"] | None = None
    """What that network reads of an observation besides."""
    normalize_mean: bool = False
    """Whether refined means are layer-normalised."""
    gradient_scale: PositiveFloat = 1.0
    """Factor of the gradient that is read; one over the batch size in the code
    of Marino et al. (2018)."""
    objective: Literal["joint", "em"] = "joint"
    """What trains a refined proposal: `joint`, the bound; `em`, as in Marino
    et al. (2018), its own free energies, while the model takes latents for
    constants."""
    online: bool = False
    """Whether, with `em`, refinements learn after each time step of a batch."""


# The last base comes first in the help.
class FitSettings(RefinementSettings, common.FitSettings):
    """What `fit` can be told where a proposal may refine itself."""

    heading: ClassVar[str] = "Networks"
    proposal: Proposal = "filtering"  # type: ignore[assignment]
    """Distribution that latents are drawn from: `filtering` sees the
    observations up to the step, `smoothing` all of them, `transition` none;
    `iterative` is refined in each step by the gradient of its free energy."""
    networks: Literal["fivo", "avf"] = "fivo"
    """Form of the cell: that of Maddison et al. (2017), or the SRNN of Marino
    et al. (2018), which encodes nothing, and learns its initial state."""
    emission_units: tuple[Positive, ...] | None = None
    """Sizes of the hidden layers of the emission. If they are not set, those
    of all networks."""
