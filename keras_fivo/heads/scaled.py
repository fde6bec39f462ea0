"""What heads of a location and a scale have in common."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.heads.head import Head
from keras_fivo.types import Tensor


class ScaledHead(Head):
    """A head whose distribution has locations and positive scales.

    The scale is `max(softplus(raw + scale_bias), min_scale)`, or with a
    `max_scale` `min_scale + (max_scale - min_scale) * sigmoid(raw +
    scale_bias)`, times `scale`; the location is `location` plus what the
    network gives times `scale`. These two are weights that are not trained,
    `(event_dim,)`, 0 and 1 until `adapt` takes the mean and the standard
    deviation of the data, so that training begins where an independent model
    of the data would end, whatever their units.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        min_scale: Smallest scale, in the units of `scale`. 0 lets an emission
            collapse on its data.
        scale_bias: Added to the raw scale.
        max_scale: Largest scale, likewise; None: no limit.
        adaptive: Whether the head has a `location` and a `scale`.
        scale_form: What the raw scale is: `"softplus"`, as above, or
            `"log_variance"`: the scale is then `exp((raw + scale_bias) / 2)`,
            clipped to `[min_scale, max_scale]`.
        location_activation: Activation of what the network gives for the
            location, as `"sigmoid"` for values in [0, 1] of a head that is
            not adaptive; None: none.
    """

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        min_scale: float = 1e-3,
        scale_bias: float = 0.25,
        max_scale: float | None = None,
        adaptive: bool = True,
        scale_form: str = "softplus",
        location_activation: Any = None,
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
        self.adaptive = bool(adaptive)
        if scale_form not in ("softplus", "log_variance"):
            raise ValueError(
                "`scale_form` must be 'softplus' or 'log_variance'. "
                f"Received: scale_form={scale_form!r}"
            )
        self.scale_form = scale_form
        self.location_activation = keras.activations.get(location_activation)

    def build_weights(self) -> None:
        """Creates the weights; see `Head.build_weights`."""
        if self.adaptive:
            self.location = self.add_data_weight("location", "zeros")
            self.scale = self.add_data_weight("scale", "ones")

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Takes the location and the scale from the data, if it is given."""
        if self.adaptive and deviation is not None:
            self.location.assign(mean)
            self.scale.assign(deviation)

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights; files of before there was a scale have none."""
        if len(store.keys()) or not self.adaptive:
            super().load_own_variables(store)

    def place(self, loc: Tensor, axis: int = -1) -> Tensor:
        """Returns locations from outputs.

        Args:
            loc: `(..., event_dim)`, or with `axis=-2` `(..., event_dim,
                components)`.
            axis: Where the entries are.
        """
        loc = self.location_activation(loc)
        if not self.adaptive:
            return loc
        return _on_axis(self.location, axis) + _on_axis(self.scale, axis) * loc

    def positive(self, raw: Tensor, axis: int = -1) -> Tensor:
        """Makes scales of raw outputs, of shapes as in `place`."""
        found = self._unit_scale(raw)
        return _on_axis(self.scale, axis) * found if self.adaptive else found

    def _unit_scale(self, raw: Tensor) -> Tensor:
        if self.scale_form == "log_variance":
            low, high = (
                2.0 * math.log(limit) if limit else default
                for limit, default in (
                    (self.min_scale, -math.inf),
                    (self.max_scale, math.inf),
                )
            )
            return ops.exp(0.5 * ops.clip(raw + self.scale_bias, low, high))
        if self.max_scale is not None:
            share = ops.sigmoid(raw + self.scale_bias)
            return self.min_scale + (self.max_scale - self.min_scale) * share
        scale = ops.softplus(raw + self.scale_bias)
        return ops.maximum(scale, self.min_scale) if self.min_scale else scale

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "min_scale": self.min_scale,
            "scale_bias": self.scale_bias,
            "max_scale": self.max_scale,
            "adaptive": self.adaptive,
            "scale_form": self.scale_form,
            "location_activation": keras.activations.serialize(
                self.location_activation
            ),
        }
        return {**super().get_config(), **config}


def _on_axis(entries: Tensor, axis: int) -> Tensor:
    """Returns `(event_dim,)` of the rank that puts it on a negative axis."""
    return ops.reshape(entries, (-1,) + (1,) * (-axis - 1))
