"""A twist that looks one observation ahead."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_fivo.axes import next_step
from keras_fivo.distributions import observed_log_prob
from keras_fivo.heads import get_head
from keras_fivo.networks import Sizes
from keras_fivo.twists.twist import LearnedTwist
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class OneStepTwist(LearnedTwist):
    """r(x_t+1 | z_t, ...), the density of a head over [context, z_t].

    What is missing of the next observation drops out. It is the `tilt` of
    the code of the FIVO paper, where the objective is `"bound"`.

    Args:
        head: A head, or its name; None: one like the cell's emission, or
            `"normal"` where the cell has none.
        objective: See `LearnedTwist`.
        num_samples: Number of model samples, likewise.
    """

    def __init__(
        self,
        head: Any = None,
        objective: str = "density_ratio",
        num_samples: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, num_samples, **kwargs)
        self.given = None if head is None else get_head(head)
        self.head: Any = self.given

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        if self.head is None:
            self.head = _like(sizes.emission)
        self.head.build(
            [*sizes.context_dims, sizes.embedded_dim],
            sizes.observation_dim,
            sizes.hidden_units,
        )

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Sets what the head takes from the data."""
        self.head.adapt(mean, deviation)

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns the next observation, and what is observed of it."""
        return {
            "observations": next_step(inputs["observations"]),
            "observed": next_step(inputs["observed"]),
        }

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Returns log r, `(rows,)`; see `Twist.log_twist`."""
        density = self.head.distribution([*context, latent])
        return observed_log_prob(
            density, look_ahead["observations"], look_ahead["observed"]
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        head = self.given and keras.saving.serialize_keras_object(self.given)
        return {**super().get_config(), "head": head}


def _like(emission: Any) -> Any:
    """Returns a head of the same settings, with weights of its own."""
    if emission is None:
        return get_head("normal")
    return type(emission).from_config({**emission.get_config(), "name": "head"})
