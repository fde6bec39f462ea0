"""A head for events of Student's distribution."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_positive
from keras_fivo.distributions import Distribution, StudentT
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class StudentTHead(ScaledHead):
    """Independent entries of Student's distribution, of learned heaviness.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        min_degrees: The degrees of freedom are this plus a softplus. With 2,
            the default, the variance is finite.
        **kwargs: `min_scale`, `scale_bias`, `max_scale` and `adaptive` of
            `ScaledHead`, and what every layer takes.
    """

    outputs_per_entry = 3
    distribution_class = StudentT

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        min_degrees: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        self.min_degrees = check_positive("min_degrees", min_degrees)

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads thirds: locations, raw scales, raw degrees of freedom."""
        loc, raw_scale, raw_degrees = ops.split(outputs, 3, axis=-1)
        # A bias of 2 starts training at about 4 degrees of freedom.
        degrees = self.min_degrees + ops.softplus(raw_degrees + 2.0)
        return StudentT(degrees, self.place(loc), self.positive(raw_scale))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "min_degrees": self.min_degrees}
