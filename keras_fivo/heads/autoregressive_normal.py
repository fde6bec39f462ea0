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
    entry, one filter for the event, as reflection coefficients between -1
    and 1, so that the process is stable whatever the weights. Entries are in
    one unit, as the filter is of differences from the mean.

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
        """First the means, then the raw scales, then the filter."""
        entries = self.event_dim
        reflections = ops.tanh(outputs[:, 2 * entries :])
        return AutoregressiveNormal(
            self.place(outputs[:, :entries]),
            self.positive(outputs[:, entries : 2 * entries]),
            prediction_coefficients(reflections),
        )

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "order": self.order}


def prediction_coefficients(reflections: Tensor) -> Tensor:
    """Coefficients of a filter from its reflection coefficients.

    Durbin's recursion: from order m - 1 to m, a_m = k_m and
    a_j = a_j - k_m a_{m-j}. All |k| < 1 make a stable process.

    Args:
        reflections: `(rows, order)`, between -1 and 1.

    Returns:
        `(rows, order)`, the coefficient of the entry just before first.
    """
    found = reflections[:, :1]
    for m in range(1, reflections.shape[-1]):
        k = reflections[:, m : m + 1]
        found = ops.concatenate([found - k * ops.flip(found, axis=-1), k], -1)
    return found
