"""The parameters of a linear Gaussian state-space model."""

from dataclasses import dataclass

import keras
from keras import ops

from keras_fivo.axes import time_first
from keras_fivo.types import Tensor


@dataclass(frozen=True)
class LinearGaussian:
    """A linear Gaussian state-space model.

    z_1 ~ N(initial_mean, initial_covariance);
    z_t = transition_matrix z_{t-1} + transition_offset + noise;
    x_t = emission_matrix z_t + emission_offset + noise.

    Parameters are shared by all steps, as below, or have a leading axis of
    time, or of batch and time. With n steps, those of the transition have
    n - 1 entries, of which the first takes z_1 to z_2, and those of the
    emission n. Beyond its entries a parameter stays as in the last one.
    Exogenous inputs enter through the offsets. Covariances are positive
    definite.

    Attributes:
        initial_mean: `(latent_dim,)`.
        initial_covariance: `(latent_dim, latent_dim)`.
        transition_matrix: `(latent_dim, latent_dim)`.
        transition_covariance: `(latent_dim, latent_dim)`.
        emission_matrix: `(features, latent_dim)`.
        emission_covariance: `(features, features)`.
        transition_offset: `(latent_dim,)`; None: zero.
        emission_offset: `(features,)`; None: zero.
    """

    initial_mean: Tensor
    initial_covariance: Tensor
    transition_matrix: Tensor
    transition_covariance: Tensor
    emission_matrix: Tensor
    emission_covariance: Tensor
    transition_offset: Tensor | None = None
    emission_offset: Tensor | None = None

    @property
    def latent_dim(self) -> int:
        """Size of a latent."""
        return int(ops.shape(self.initial_mean)[-1])

    @property
    def observation_dim(self) -> int:
        """Size of an observation."""
        return int(ops.shape(self.emission_matrix)[-2])

    def steps(self, num_steps: int) -> dict:
        """Returns parameters by step; those shared by the batch have batch 1.

        The first step has matrix 0 and the initial mean and covariance as
        offset and covariance of its transition: a chain from z_0 = 0.

        Returns:
            Dict of `transition_matrix`, `transition_offset`,
            `transition_factor`, `emission_matrix`, `emission_offset` and
            `emission_factor`, `(time, batch or 1, ...)` each; factors are
            the Cholesky factors of the covariances.
        """
        size, features = self.latent_dim, self.observation_dim
        first = {
            "transition_matrix": ops.zeros((size, size)),
            "transition_offset": self.initial_mean,
            "transition_factor": _factor(self.initial_covariance),
        }
        values = {
            "transition_matrix": self.transition_matrix,
            "transition_offset": self.transition_offset,
            "transition_factor": _factor(self.transition_covariance),
            "emission_matrix": self.emission_matrix,
            "emission_offset": self.emission_offset,
            "emission_factor": _factor(self.emission_covariance),
        }
        absent = {
            "transition_offset": ops.zeros((size,)),
            "emission_offset": ops.zeros((features,)),
        }
        steps = {}
        for name, value in values.items():
            value = absent[name] if value is None else value
            rank = 1 if name.endswith("offset") else 2
            rest = by_time(value, rank, num_steps - (name in first))
            if name in first:
                start = by_time(first[name], rank, 1)
                shape = (1, *ops.shape(rest)[1:])
                rest = ops.concatenate(
                    [ops.broadcast_to(start, shape), rest], axis=0
                )
            steps[name] = rest
        return steps


def _factor(covariance: Tensor) -> Tensor:
    covariance = ops.convert_to_tensor(covariance, keras.config.floatx())
    return ops.cholesky(covariance)


def by_time(value: Tensor, rank: int, num_steps: int) -> Tensor:
    """Returns a parameter as `(time, batch or 1, ...)`.

    Args:
        value: Parameter of the rank of one step, or with a leading axis of
            time, or of batch and time.
        rank: Rank of the parameter of one step.
        num_steps: Number of steps; entries beyond them are left out, and the
            last one is repeated where they are fewer.
    """
    value = ops.convert_to_tensor(value, keras.config.floatx())
    extra = len(value.shape) - rank
    if extra not in (0, 1, 2):
        raise ValueError(
            "A parameter must have the shape of one step, or leading axes of "
            f"time, or of batch and time. Received: shape={value.shape}, "
            f"where that of one step has {rank} axes."
        )
    if extra == 0:
        value = ops.expand_dims(value, (0, 1))
    elif extra == 1:
        value = ops.expand_dims(value, 1)
    else:
        value = time_first(value)
    entries = int(value.shape[0])
    if num_steps > entries:
        last = value[-1:]
        shape = (num_steps - entries, *ops.shape(last)[1:])
        value = ops.concatenate([value, ops.broadcast_to(last, shape)], axis=0)
    return value[:num_steps]
