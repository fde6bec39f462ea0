"""What heads of a location and a scale have in common."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_fivo.heads.head import Head
from keras_fivo.types import Tensor


class ScaledHead(Head):
    """A head whose distribution has positive scales.

    The scale is `max(softplus(raw + scale_bias), min_scale)`, or with a
    `max_scale` `min_scale + (max_scale - min_scale) * sigmoid(raw +
    scale_bias)`, in the units of the data.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        min_scale: Smallest scale. 0 lets an emission collapse on its data.
        scale_bias: Added to the raw scale.
        max_scale: Largest scale; None: no limit.
    """

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        min_scale: float = 1e-3,
        scale_bias: float = 0.25,
        max_scale: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        if min_scale < 0:
            raise ValueError(
                "`min_scale` must not be negative. "
                f"Received: min_scale={min_scale!r}"
            )
        if max_scale is not None and not max_scale > min_scale:
            raise ValueError(
                "`max_scale` must be larger than `min_scale`, or None. "
                f"Received: min_scale={min_scale!r}, max_scale={max_scale!r}"
            )
        self.min_scale = float(min_scale)
        self.scale_bias = float(scale_bias)
        self.max_scale = None if max_scale is None else float(max_scale)

    def positive(self, raw: Tensor) -> Tensor:
        """Scales from raw outputs of any shape."""
        if self.max_scale is not None:
            share = ops.sigmoid(raw + self.scale_bias)
            return self.min_scale + (self.max_scale - self.min_scale) * share
        scale = ops.softplus(raw + self.scale_bias)
        return ops.maximum(scale, self.min_scale) if self.min_scale else scale

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            "min_scale": self.min_scale,
            "scale_bias": self.scale_bias,
            "max_scale": self.max_scale,
        }
        return {**super().get_config(), **config}
