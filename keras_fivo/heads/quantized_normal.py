"""A head for quantised Normal events."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_positive
from keras_fivo.distributions import Distribution, QuantizedNormal
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class QuantizedNormalHead(ScaledHead):
    """A Normal integrated over the window that a value was rounded from.

    For 16-bit recordings scaled to [-1, 1) the width is 2**-15, the default;
    for those divided by their standard deviation, 2**-15 divided by it.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        width: Distance of neighbouring values, in the units of the data.
        offset: Values are `offset + k * width`.
        centered: Whether the window is around a value, rather than above it.
        floor: Added to each probability, which then no longer add up to one:
            bounds are improper.
        **kwargs: `min_scale`, `scale_bias`, `max_scale`, `adaptive` and
            `scale_form` of `ScaledHead`, and what every layer takes.
    """

    outputs_per_entry = 2
    distribution_class = QuantizedNormal

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        width: float = 2.0**-15,
        offset: float = 0.0,
        centered: bool = True,
        floor: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        if floor < 0:
            raise ValueError(
                f"`floor` must not be negative. Received: floor={floor!r}"
            )
        self.width = check_positive("width", width)
        self.offset = float(offset)
        self.centered = bool(centered)
        self.floor = float(floor)

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads means from the first half, raw scales from the second."""
        loc, raw = ops.split(outputs, 2, axis=-1)
        return QuantizedNormal(
            self.place(loc),
            self.positive(raw),
            self.width,
            self.offset,
            self.centered,
            self.floor,
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("width", "offset", "centered", "floor")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config}
