"""A head for Normal entries that depend on those before them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_count
from keras_fivo.distributions import AutoregressiveNormal
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class AutoregressiveNormalHead(ScaledHead):
    """A signal's samples, each predicted linearly by those before it.

    For waveforms: the network gives, besides a mean and a scale for each
    entry, one filter for the event, whose process is stable whatever the
    weights. Entries are in one unit, as the filter is of differences from the
    mean.

    A mask may leave out whole steps, not single entries.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        order: Number of entries before that predict the next.
        **kwargs: `min_scale`, `scale_bias`, `max_scale` and `adaptive` of
            `ScaledHead`, and what every layer takes.

    Reference:
        Makhoul, 1975, "Linear Prediction: A Tutorial Review".
    """

    distribution_class = AutoregressiveNormal

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        order: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        self.order = check_count("order", order)

    @property
    def output_dim(self) -> int:
        """Means, raw scales and raw reflection coefficients."""
        return 2 * self.event_dim + self.order

    def parametrize(self, outputs: Tensor) -> AutoregressiveNormal:
        """Reads first the means, then the raw scales, then the filter."""
        entries = self.event_dim
        return AutoregressiveNormal(
            self.place(outputs[:, :entries]),
            self.positive(outputs[:, entries : 2 * entries]),
            ops.tanh(outputs[:, 2 * entries :]),
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "order": self.order}
