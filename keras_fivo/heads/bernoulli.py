"""A head for independent binary entries."""

from typing import Any

import keras
import numpy as np

from keras_fivo.distributions import Bernoulli, Distribution
from keras_fivo.heads.biased import BiasedHead
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class BernoulliHead(BiasedHead):
    """Independent Bernoulli entries, given by their logits.

    `initial_bias` is a weight that is not trained, `(event_dim,)`, added to
    the logits: `adapt` puts the log odds of the data there, so training
    starts from independent entries with the right means.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    distribution_class: type[Distribution] = Bernoulli

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Adds the initial bias to the outputs."""
        return Bernoulli(logits=outputs + self.initial_bias)

    def input_scale(self, deviation: Any) -> Any:
        """Returns ones: what is 0 or 1 needs no scale."""
        return np.ones_like(deviation)

    def bias_from_mean(self, mean: Any) -> Any:
        """Returns the logit of the mean, clipped to [1e-4, 1 - 1e-4]."""
        mean = np.clip(np.asarray(mean, "float64"), 1e-4, 1 - 1e-4)
        return np.log(mean) - np.log1p(-mean)

    def check(self, observations: Any) -> None:
        """Raises an error for values outside [0, 1]."""
        if observations.size and (
            observations.min() < 0 or observations.max() > 1
        ):
            raise ValueError(
                "Bernoulli observations must lie in [0, 1]. Received: "
                f"observations between {observations.min()} and "
                f"{observations.max()}. Scale or threshold them, or use "
                "another emission."
            )
