"""A head for classes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_fivo.checks import check_count
from keras_fivo.distributions import Categorical, Distribution
from keras_fivo.heads.head import Head
from keras_fivo.heads.parts import split_entries
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class CategoricalHead(Head):
    """Independent entries, each the number of a class: 0, 1, 2, ...

    The networks that read observations read the numbers as they are.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        num_classes: Number of classes by entry. Default: those of a byte.
    """

    distribution_class = Categorical

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        num_classes: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        self.num_classes = check_count("num_classes", num_classes, 2)
        self.outputs_per_entry = self.num_classes

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Reads the logits of the classes, entry by entry."""
        (logits,) = split_entries(outputs, self.event_dim, 1)
        return Categorical(logits)

    def input_scale(self, deviation: Any) -> Any:
        """Ones: the number of a class has no scale."""
        return np.ones_like(deviation)

    def check(self, observations: Any) -> None:
        """Raises an error for values that are no class."""
        if observations.size and (
            observations.min() < 0
            or observations.max() > self.num_classes - 1
            or np.any(observations != np.round(observations))
        ):
            raise ValueError(
                "Categorical observations must be whole numbers below "
                f"`num_classes`. Received: num_classes={self.num_classes}, "
                f"observations between {observations.min()} and "
                f"{observations.max()}."
            )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
