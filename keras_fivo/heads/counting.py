"""What heads for counts share."""

from typing import Any

import numpy as np

from keras_fivo.heads.biased import BiasedHead


class CountHead(BiasedHead):
    """A head whose first outputs are the logs of mean counts."""

    def bias_from_mean(self, mean: Any) -> Any:
        """The log of the mean, of at least 1e-4."""
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
