"""When to resample."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.lookup import Configurable, find
from keras_fivo.smc.weights import effective_sample_size
from keras_fivo.types import Tensor


class Criterion(Configurable):
    """Decides for each sequence whether its particles are resampled now."""

    def __call__(self, log_weights: Tensor, step: Tensor) -> Tensor:
        """Tells where to resample, bool `(batch,)`.

        Args:
            log_weights: `(batch, particles)`, in nats.
            step: Int32 `(batch,)`, the step's number in its sequence.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__call__`."
        )


@keras.saving.register_keras_serializable(package="keras_fivo")
class EffectiveSampleSize(Criterion):
    """Resamples where the effective sample size is low.

    Args:
        fraction: Share of the number of particles, at or below which an
            effective sample size is low.
    """

    def __init__(self, fraction: float = 0.5) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(
                "`fraction` must lie in (0, 1]. "
                f"Received: fraction={fraction!r}"
            )
        self.fraction = float(fraction)

    def __call__(self, log_weights: Tensor, step: Tensor) -> Tensor:
        """Tells where to resample, bool `(batch,)`; see `Criterion`."""
        threshold = self.fraction * int(log_weights.shape[-1])
        return effective_sample_size(log_weights) <= threshold

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"fraction": self.fraction}


@keras.saving.register_keras_serializable(package="keras_fivo")
class Always(Criterion):
    """Resamples at every step."""

    def __call__(self, log_weights: Tensor, step: Tensor) -> Tensor:
        """Tells where to resample, bool `(batch,)`; see `Criterion`."""
        return ops.ones_like(log_weights[:, 0], dtype="bool")


@keras.saving.register_keras_serializable(package="keras_fivo")
class Never(Criterion):
    """Never resamples: importance sampling of whole sequences."""

    def __call__(self, log_weights: Tensor, step: Tensor) -> Tensor:
        """Tells where to resample, bool `(batch,)`; see `Criterion`."""
        return ops.zeros_like(log_weights[:, 0], dtype="bool")


@keras.saving.register_keras_serializable(package="keras_fivo")
class AtSteps(Criterion):
    """Resamples after the given steps.

    Args:
        steps: Numbers of steps, the first being 0.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps = sorted({int(step) for step in steps})
        if not self.steps or self.steps[0] < 0:
            raise ValueError(
                "`steps` must be one or more numbers of steps, from 0. "
                f"Received: steps={steps!r}"
            )

    def __call__(self, log_weights: Tensor, step: Tensor) -> Tensor:
        """Tells where to resample, bool `(batch,)`; see `Criterion`."""
        chosen = ops.convert_to_tensor(self.steps, "int32")
        return ops.any(ops.expand_dims(step, -1) == chosen, axis=-1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"steps": self.steps}


_CRITERIA: dict[str, type[Criterion]] = {
    "effective_sample_size": EffectiveSampleSize,
    "always": Always,
    "never": Never,
}


def get_criterion(identifier: Any) -> Criterion:
    """Returns a criterion from an object or a name; see `find`."""
    return find(identifier, _CRITERIA, Criterion, "criterion")
