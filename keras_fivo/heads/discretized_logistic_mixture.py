"""A head for mixtures of logistics over equally spaced values."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.checks import check_count
from keras_fivo.distributions import DiscretizedLogisticMixture, Distribution
from keras_fivo.heads.head import Head
from keras_fivo.heads.parts import split_entries
from keras_fivo.types import Tensor

_MIN_SCALE = 1e-4
"""Smallest scale, as a share of half the range."""


@keras.saving.register_keras_serializable(package="keras_fivo")
class DiscretizedLogisticMixtureHead(Head):
    """Independent entries, each one of `num_bins` values from low to high.

    The components start spread over the range.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        num_components: Number of logistics by entry.
        low: The first value.
        high: The last value.
        num_bins: Number of values.
    """

    distribution_class = DiscretizedLogisticMixture

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        num_components: int = 5,
        low: float = -1.0,
        high: float = 1.0,
        num_bins: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        if not high > low:
            raise ValueError(
                "`high` must be larger than `low`. "
                f"Received: low={low!r}, high={high!r}"
            )
        self.num_components = check_count("num_components", num_components)
        self.outputs_per_entry = 3 * self.num_components
        self.low = float(low)
        self.high = float(high)
        self.num_bins = check_count("num_bins", num_bins, 2)

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads thirds: logits, means, raw scales, in halves of the range."""
        logits, loc, raw = split_entries(outputs, self.event_dim, 3)
        centre, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        count = self.num_components
        spread = (2.0 * np.arange(count) + 1.0) / count - 1.0
        loc = centre + half * (loc + ops.cast(spread, loc.dtype))
        # A bias of -2 starts the scales at an eighth of half the range.
        scale = half * (ops.softplus(raw - 2.0) + _MIN_SCALE)
        return DiscretizedLogisticMixture(
            logits, loc, scale, self.low, self.high, self.num_bins
        )

    def check(self, observations: Any) -> None:
        """Raises an error for values outside the range."""
        slack = 0.5 * (self.high - self.low) / (self.num_bins - 1)
        if observations.size and (
            observations.min() < self.low - slack
            or observations.max() > self.high + slack
        ):
            raise ValueError(
                "Observations must lie between `low` and `high`. Received: "
                f"low={self.low}, high={self.high}, observations between "
                f"{observations.min()} and {observations.max()}."
            )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("num_components", "low", "high", "num_bins")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
        }
