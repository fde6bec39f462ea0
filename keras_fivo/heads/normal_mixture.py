"""A head for mixtures of Normals."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_fivo.checks import check_count
from keras_fivo.distributions import Distribution, NormalMixture
from keras_fivo.heads.parts import split_entries
from keras_fivo.heads.scaled import ScaledHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class NormalMixtureHead(ScaledHead):
    """Independent entries, each of a mixture of Normals of its own.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        num_components: Number of Normals by entry.
        **kwargs: `min_scale`, `scale_bias`, `max_scale` and `adaptive` of
            `ScaledHead`, and what every layer takes.
    """

    distribution_class = NormalMixture

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        num_components: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        self.num_components = check_count("num_components", num_components)
        self.outputs_per_entry = 3 * self.num_components

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads thirds: logits, means, raw scales."""
        logits, loc, raw = split_entries(outputs, self.event_dim, 3)
        return NormalMixture(
            logits, self.place(loc, axis=-2), self.positive(raw, axis=-2)
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_components": self.num_components}
