"""What heads for counts share."""

from typing import Any

import numpy as np
from keras import ops

from keras_fivo.heads.biased import BiasedHead
from keras_fivo.types import Tensor


class CountHead(BiasedHead):
    """A head whose first outputs give the logs of mean counts.

    The log of a mean is `initial_bias + spread * output`. Both are weights
    that are not trained, `(event_dim,)`, 0 and 1 until `adapt`: `spread` is
    then the deviation of the counts over their mean, of at most 1, so that
    the means begin within the range of the data, however large they are.
    """

    def build_weights(self) -> None:
        """Creates the weights; see `Head.build_weights`."""
        super().build_weights()
        self.spread = self.add_data_weight("spread", "ones")

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Starts from the mean, and the spread if it is given."""
        super().adapt(mean, deviation)
        if deviation is not None:
            ratio = np.asarray(deviation) / np.maximum(mean, 1e-4)
            self.spread.assign(np.clip(ratio, 1e-3, 1.0))

    def log_mean(self, outputs: Tensor) -> Tensor:
        """Returns logs of means from outputs `(..., event_dim)`."""
        return ops.multiply(self.spread, outputs) + self.initial_bias

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights; files of before have the bias alone."""
        if len(store.keys()) == 1:
            self.initial_bias.assign(np.array(store["0"]))
        else:
            super().load_own_variables(store)

    def bias_from_mean(self, mean: Any) -> Any:
        """Returns the log of the mean, of at least 1e-4."""
        return np.log(np.maximum(np.asarray(mean, "float64"), 1e-4))

    def check(self, observations: Any) -> None:
        """Raises an error for values that are no counts."""
        if observations.size and (
            observations.min() < 0
            or np.any(observations != np.round(observations))
        ):
            raise ValueError(
                f"{type(self).__name__} takes counts: 0, 1, 2, ... Received: "
                f"observations between {observations.min()} and "
                f"{observations.max()}, not all of them counts."
            )
