"""What every proposal offers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_fivo.distributions import Distribution
from keras_fivo.types import Nested, Shape, Tensor


@dataclass(frozen=True)
class ProposalSizes:
    """What a cell tells its proposal when it is built.

    Attributes:
        context_dims: Sizes of the features of the context.
        present_dim: Size of the encoded observation.
        latent_dim: Size of the latent.
        hidden_units: Hidden sizes, where the proposal leaves them open.
        recurrent_dim: Size of a backward recurrence, likewise.
        known_context: Which features of the context are known before the
            loop; empty: none.
        scale_options: Arguments of `NormalHead` for the scale, likewise.
    """

    context_dims: Sequence[int]
    present_dim: int
    latent_dim: int
    hidden_units: Sequence[int] = ()
    recurrent_dim: int = 32
    known_context: Sequence[bool] = ()
    scale_options: dict = field(default_factory=dict)


class Proposal(keras.layers.Layer):
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

    def build(self, sizes: ProposalSizes) -> None:
        """Creates the weights, if there are any."""

    def look_ahead(
        self,
        past: Nested,
        present: Tensor,
        inputs: dict,
        known: Sequence[Tensor | None] = (),
    ) -> Nested:
        """What `distribution` needs of the observations, by time.

        Args:
            past: The cell's features of the past, `(time, batch, ...)`.
            present: Encoded observations, `(time, batch, size)`.
            inputs: The dict that the cell encoded, with `active`.
            known: The features of the context, `(time, batch, size)`, with
                None for those that only the loop has; empty: all of them.
        """
        return {}

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """q(z_t | ...).

        Args:
            context: Features of the past, `(rows, size)` each.
            present: One step of what `look_ahead` returned, by rows.
            transition: p(z_t | past).
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `distribution`."
        )

    def noise_shape(self, latent_shape: Shape) -> Shape | None:
        """Shape of the noise of `refine` for one particle in one step.

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
    ) -> Distribution:
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

        Returns:
            The distribution that the latent is drawn from.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `refine`: it declares "
            "noise of its own."
        )

    def get_build_config(self) -> Any:
        """The cell builds its proposal."""
        return None


@keras.saving.register_keras_serializable(package="keras_fivo")
class NormalProposal(Proposal):
    """A learned Normal whose mean may be a residual on the transition's.

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
        self.hidden_units = (
            None if hidden_units is None else [int(x) for x in hidden_units]
        )
        self.residual = residual
        self.min_scale = min_scale
        self.scale_bias = scale_bias

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            "hidden_units": self.hidden_units,
            "residual": self.residual,
            "min_scale": self.min_scale,
            "scale_bias": self.scale_bias,
        }
        return {**super().get_config(), **config}
