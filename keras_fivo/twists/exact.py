"""The exact twist of linear Gaussian models."""

from collections.abc import Sequence

import keras

from keras_fivo.linear_gaussian import (
    backward_messages,
    log_message,
    messages_of_inputs,
)
from keras_fivo.twists.twist import Twist
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class ExactTwist(Twist):
    """p(x_t+1:T | z_t) of a linear Gaussian cell; it has no weights.

    With the proposal `"exact_smoothing"` the weights do not vary at all and
    the bound is the log evidence. Missing entries are integrated out.
    """

    def look_ahead(self, past: dict, present: Tensor, inputs: dict) -> Nested:
        """Returns backward messages, as sums of squares in z_t."""
        if "parameters" not in past:
            raise TypeError(
                "ExactTwist needs a linear Gaussian cell. Received: a cell "
                f"whose past has {sorted(past)}. Use 'look_ahead' or "
                "'one_step' with other cells."
            )
        steps = past["parameters"]
        return backward_messages(steps, messages_of_inputs(steps, inputs))[1]

    def log_twist(
        self, context: Sequence[Tensor], latent: Tensor, look_ahead: Nested
    ) -> Tensor:
        """Returns log r, `(rows,)`; see `Twist.log_twist`."""
        return log_message(look_ahead, latent)
