"""The one-dimensional linear Gaussian chain."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_fivo.cells.linear_gaussian import LinearGaussianCell


@keras.saving.register_keras_serializable(package="keras_fivo")
class GHMMCell(LinearGaussianCell):
    """A Gaussian hidden Markov model: a linear Gaussian chain in one dimension.

    z_1 ~ N(0, transition_variance); z_t = transition_weight z_{t-1} + noise;
    x_t = emission_weight z_t + noise. The name is that of the code of the
    FIVO paper; unlike in other hidden Markov models the latents are
    continuous.

    Each argument is a number for all steps, or one number for each step: n
    for n steps, n - 1 for transition weights, of which the first takes z_1
    to z_2. The first transition variance is that of z_1.

    Args:
        transition_weight: Number, or a sequence of them.
        transition_variance: Positive number, or a sequence of them.
        emission_weight: Number, or a sequence of them.
        emission_variance: Positive number, or a sequence of them.
        fixed: Names of the parameters of `LinearGaussianCell` that are not
            trained; True, the default: all.
        proposal: A proposal, or its name; see `LinearGaussianCell`.
        min_scale: Smallest standard deviation.
        twist: A twist, its name, or None; see `LinearGaussianCell`.

    Reference:
        Maddison et al., 2017, "Filtering Variational Objectives".
    """

    def __init__(
        self,
        transition_weight: float | Sequence[float] = 1.0,
        transition_variance: float | Sequence[float] = 1.0,
        emission_weight: float | Sequence[float] = 1.0,
        emission_variance: float | Sequence[float] = 1.0,
        fixed: bool | Sequence[str] = True,
        proposal: Any = "transition",
        min_scale: float = 1e-3,
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        numbers = {
            "transition_weight": transition_weight,
            "transition_variance": transition_variance,
            "emission_weight": emission_weight,
            "emission_variance": emission_variance,
        }
        arrays = {name: _numbers(name, x) for name, x in numbers.items()}
        super().__init__(
            1, _parameters(arrays), fixed, proposal, min_scale, twist, **kwargs
        )
        for name, array in arrays.items():
            setattr(self, name, array.tolist())

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for name in ("latent_dim", "parameters"):
            del config[name]
        for name in (
            "transition_weight",
            "transition_variance",
            "emission_weight",
            "emission_variance",
        ):
            config[name] = np.asarray(getattr(self, name)).tolist()
        return config


def _numbers(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, "float64")
    if array.ndim > 1 or not array.size:
        raise ValueError(
            f"`{name}` must be a number, or one for each step. "
            f"Received: {name}={value!r}"
        )
    if name.endswith("variance") and array.min() <= 0:
        raise ValueError(
            f"`{name}` must be positive. Received: {name}={value!r}"
        )
    return array


def _parameters(arrays: dict) -> dict:
    matrices = {name: x[..., None, None] for name, x in arrays.items()}
    variance = matrices["transition_variance"]
    shared = variance.ndim == 2
    parameters = {
        "initial_covariance": variance if shared else variance[0],
        "transition_matrix": matrices["transition_weight"],
        "emission_matrix": matrices["emission_weight"],
        "emission_covariance": matrices["emission_variance"],
    }
    if shared or len(variance) > 1:
        rest = variance if shared else variance[1:]
        parameters["transition_covariance"] = rest
    return parameters
