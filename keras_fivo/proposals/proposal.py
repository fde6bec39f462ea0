"""What every proposal offers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from keras_fivo.distributions import Distribution
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks import Sizes
from keras_fivo.types import Nested, Shape, Tensor


class Refinement(NamedTuple):
    """What a proposal makes of its guess in one step.

    Attributes:
        distribution: What the latent is drawn from.
        free_energies: `(rows, num_evaluations)`, in nats, which the filter
            keeps; or None.
        learner: Weights, and what moves them, of the next step, where they
            move in each; or None.
    """

    distribution: Distribution
    free_energies: Tensor | None = None
    learner: Nested = None


class Proposal(BuiltByOwner, keras.layers.Layer):
    """Says where the latent of the next step is drawn from.

    Before the loop, `look_ahead` computes what depends on observations
    alone; inside it, `distribution` gives q(z_t | ...) by rows.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"name": "proposal", **kwargs})

    sees_future = False
    """Whether `look_ahead` reads observations after the step: such a
    proposal cannot stream."""

    @property
    def max_steps(self) -> int | None:
        """Length of the longest sequence that it has weights for, if any."""
        return None

    num_evaluations = 0
    """How many free energies of a step it tells the filter."""

    has_own_loss = False
    """Whether its weights minimise its free energies, not the bound."""

    def learner(self, rate: Any) -> dict | None:
        """Returns what moves in each step of a scan, and all that moves it.

        It goes through the scan as an argument of `refine`, which then
        returns it, moved; `keep_learner` takes it afterwards.

        Args:
            rate: Learning rate, a scalar.

        Returns:
            Nested tensors; None, by default, where no weights do.
        """
        return None

    def keep_learner(self, learner: dict) -> None:
        """Takes what a scan has moved; see `learner`."""

    def build(self, sizes: Sizes) -> None:
        """Creates the weights, if there are any."""

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns what `distribution` needs of the observations, by time.

        Args:
            past: The cell's features of the past, `(time, batch, ...)`, with
                the number of the `step` and the features of the context that
                are known before the loop, `Sizes.known`.
            present: Encoded observations, `(time, batch, size)`.
            inputs: The dict that the cell encoded, with `active`.
        """
        return {}

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns q(z_t | ...).

        Args:
            context: Features of the past, `(rows, size)` each.
            present: One step of what `look_ahead` returned, by rows.
            transition: p(z_t | past).
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `distribution`."
        )

    def noise_shape(self, latent_shape: Shape) -> Shape | None:
        """Returns the shape of the noise of `refine`, of a particle in a step.

        It is standard Normal, drawn before the loop, and apart from the noise
        that the latent itself is made of.

        Args:
            latent_shape: Shape of the noise of one latent.

        Returns:
            None where `distribution` is all that there is, by default.
        """
        return None

    def refine(
        self,
        proposal: Distribution,
        transition: Distribution,
        present: Nested,
        noise: Tensor,
        log_emission: Callable[[Tensor], Tensor],
        observed: Tensor,
        kl_weight: Tensor | None = None,
        learner: dict | None = None,
    ) -> "Refinement":
        """Improves q(z_t | ...) by the step's own objective.

        It is called for proposals that declare a `noise_shape` alone.

        Args:
            proposal: As from `distribution`.
            transition: p(z_t | past).
            present: One step of what `look_ahead` returned, by rows.
            noise: `(rows, *noise_shape)`, of the latents that the objective
                is evaluated at.
            log_emission: Latents `(rows, latent_dim)` to log p(x_t | z_t,
                past) of what is observed, `(rows,)`, in nats.
            observed: Bool `(rows[, features])`, what there is of x_t.
            kl_weight: `(rows,)`, factor of the KL divergence; None: one.
            learner: As from `learner`, where its weights move in this step.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `refine`: it declares "
            "noise of its own."
        )
