"""How much KL divergences count while a model is trained."""

from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_count, check_positive
from keras_fivo.lookup import Configurable, find
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class KLWarmUp(Configurable):
    """A weight that grows from 0 to 1, as `(updates / num_updates)^power`.

    Args:
        num_updates: Number of updates after which it is 1.
        power: 1: linear; 2: as in the code of "A General Method for
            Amortizing Variational Filtering".
        every: Number of updates for which it stays as it is, such as those
            of an epoch.
    """

    def __init__(
        self, num_updates: int, power: float = 1.0, every: int = 1
    ) -> None:
        self.num_updates = check_count("num_updates", num_updates)
        self.power = check_positive("power", power)
        self.every = check_count("every", every)

    def __call__(self, updates: Tensor) -> Tensor:
        """Returns the weight of the next update, a scalar.

        Args:
            updates: Number of updates so far.
        """
        stage = ops.floor_divide(ops.cast(updates, "float32"), self.every)
        share = ops.minimum(stage * self.every / self.num_updates, 1.0)
        return ops.power(share, self.power)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "num_updates": self.num_updates,
            "power": self.power,
            "every": self.every,
        }


@keras.saving.register_keras_serializable(package="keras_fivo")
class ConstantKLWeight(Configurable):
    """The same weight in all updates.

    Args:
        weight: Number above 0.
    """

    def __init__(self, weight: float) -> None:
        self.weight = check_positive("kl_weight", weight)

    def __call__(self, updates: Tensor) -> Tensor:
        """Returns the weight; see `KLWarmUp`."""
        return ops.convert_to_tensor(self.weight, "float32")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"weight": self.weight}


def get_kl_weight(identifier: Any) -> Any:
    """Returns a function of the number of updates, or None; see `find`."""
    if identifier is None:
        return None
    if isinstance(identifier, int | float):
        return ConstantKLWeight(identifier)
    return find(identifier, {}, Configurable, "kl_weight")
