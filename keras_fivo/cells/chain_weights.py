"""The parameters of a linear Gaussian cell, as weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.linear_gaussian import LinearGaussian
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.types import Tensor

NAMES = (
    "initial_mean",
    "initial_covariance",
    "transition_matrix",
    "transition_offset",
    "transition_covariance",
    "transition_controls",
    "emission_matrix",
    "emission_offset",
    "emission_covariance",
    "emission_controls",
)


def given_parameters(parameters: Any) -> tuple:
    """Returns names and float64 arrays of the parameters that the user gave."""
    if parameters is None:
        return ()
    if isinstance(parameters, LinearGaussian):
        parameters = {
            name: getattr(parameters, name, None)
            for name in NAMES
            if getattr(parameters, name, None) is not None
        }
    if not isinstance(parameters, Mapping):
        raise TypeError(
            "`parameters` must be a dict or a `LinearGaussian`. "
            f"Received: parameters={parameters!r}"
        )
    _check_names(parameters, "parameters")
    return tuple(
        (name, np.asarray(ops.convert_to_numpy(value), "float64"))
        for name, value in parameters.items()
    )


def _check_names(names: Any, argument: str) -> None:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(
            f"`{argument}` may name {list(NAMES)}. "
            f"Received: {argument} with {unknown}"
        )


class ChainWeights(BuiltByOwner, keras.layers.Layer):
    """Weights of a linear Gaussian model, by step.

    Covariances are kept as Cholesky factors, whose diagonal is a softplus
    of the weight plus `min_scale`.

    Args:
        given: As from `given_parameters`.
        fixed: Names of the parameters that are not trained; True: all.
        min_scale: Smallest diagonal entry of the factors.
    """

    def __init__(
        self,
        given: tuple,
        fixed: bool | Sequence[str] = (),
        min_scale: float = 1e-3,
    ) -> None:
        super().__init__(name="chain")
        fixed = NAMES if fixed is True else tuple(fixed or ())
        _check_names(fixed, "fixed")
        self.given, self.fixed = given, fixed
        self.min_scale = min_scale

    def build(
        self, latent_dim: int, observation_dim: int, control_dim: int
    ) -> None:
        """Creates the weights."""
        self.latent_dim, self.observation_dim = latent_dim, observation_dim
        self.control_dim = control_dim
        given = dict(self.given)
        rows = {"initial": latent_dim, "transition": latent_dim}
        rows["emission"] = observation_dim
        columns = {"matrix": latent_dim, "controls": control_dim}
        for name in NAMES:
            part, kind = name.split("_")
            shape: tuple[int, ...] = (rows[part],)
            if kind not in ("mean", "offset"):
                shape = (rows[part], columns.get(kind, rows[part]))
            if kind == "controls" and not control_dim:
                if name in given:
                    raise ValueError(
                        f"`{name}` needs data with controls. "
                        "Received: data without."
                    )
                continue
            self._add(name, shape, given.get(name))

    def _add(self, name: str, shape: tuple, value: Any) -> None:
        initializer: Any = "zeros"
        if value is not None:
            lead = value.shape[: value.ndim - len(shape)]
            shared = name.startswith("initial") or name.endswith("controls")
            per_step = len(lead) == 1 and not shared
            if value.shape[len(lead) :] != shape or not (per_step or not lead):
                raise ValueError(
                    f"`{name}` must have the shape {shape}"
                    f"{'' if shared else ', or an axis of time before it'}. "
                    f"Received: shape={value.shape}"
                )
            shape = value.shape
        elif name == "emission_matrix":
            initializer = "glorot_normal"
        elif name == "transition_matrix":
            initializer = keras.initializers.Identity(0.9)
        if name.endswith("covariance"):
            if value is None:  # of one latent: those apart are independent
                factor = self._raw_factor(name, np.eye(1))
                initializer = keras.initializers.Identity(float(factor[0, 0]))
            else:
                value = self._raw_factor(name, value)
        if value is not None:
            initializer = _constant(value)
        weight = self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=name not in self.fixed,
            autocast=False,
            dtype="float32",
        )
        setattr(self, name, weight)

    def _raw_factor(self, name: str, covariance: np.ndarray) -> np.ndarray:
        """Returns the weight whose factor is that of a covariance."""
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"`{name}` must be positive definite. "
                f"Received: {name}={covariance}"
            ) from error
        diagonal = np.diagonal(factor, axis1=-2, axis2=-1) - self.min_scale
        if diagonal.min() <= 0:
            raise ValueError(
                f"`{name}` must be larger than `min_scale` allows. "
                f"Received: min_scale={self.min_scale}, {name}={covariance}"
            )
        # The inverse of the softplus.
        diagonal = diagonal + np.log(-np.expm1(-diagonal))
        identity = np.eye(factor.shape[-1])
        return np.where(identity > 0, diagonal[..., None], factor)

    def factor(self, name: str, step: Tensor | None = None) -> Tensor:
        """Returns the Cholesky factor of a covariance, by step if asked.

        Args:
            name: Name of the covariance.
            step: Int32, any shape; None: as the weight is.
        """
        raw = getattr(self, name)
        raw = ops.convert_to_tensor(raw) if step is None else pick(raw, 2, step)
        identity = ops.eye(int(raw.shape[-1]))
        diagonal = ops.softplus(raw) + self.min_scale
        return ops.tril(raw, -1) + identity * diagonal

    def transition(
        self, step: Tensor, controls: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns matrix, offset and factor that lead to the latents.

        Args:
            step: Int32, any shape.
            controls: `(*step.shape, controls)`.

        Returns:
            `(*step.shape, ...)` each; in step 0 the matrix is 0 and the
            others are those of the first latent.
        """
        before = ops.maximum(step - 1, 0)
        first = ops.expand_dims(step == 0, -1)
        offset = pick(self.transition_offset, 1, before)
        offset = offset + self._pushed("transition_controls", controls)
        offset = ops.where(
            first, ops.convert_to_tensor(self.initial_mean), offset
        )
        first = ops.expand_dims(first, -1)
        matrix = pick(self.transition_matrix, 2, before)
        matrix = ops.where(first, ops.zeros_like(matrix), matrix)
        factor = ops.where(
            first,
            self.factor("initial_covariance"),
            self.factor("transition_covariance", before),
        )
        return matrix, offset, factor

    def emission(
        self, step: Tensor, controls: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns matrix, offset and factor of the emission in given steps.

        Returns:
            `(*step.shape, ...)` each; matrix and factor without these axes
            where all steps share them.
        """
        offset = pick(self.emission_offset, 1, step)
        offset = offset + self._pushed("emission_controls", controls)
        matrix = pick(self.emission_matrix, 2, step)
        return matrix, offset, self.factor("emission_covariance", step)

    def _pushed(self, name: str, controls: Tensor | None) -> Tensor:
        if not self.control_dim:
            return 0.0
        if controls is None:
            raise ValueError(
                f"The cell was built with {self.control_dim} controls. "
                "Received: controls=None"
            )
        controls = ops.convert_to_tensor(controls, "float32")
        matrix = ops.convert_to_tensor(getattr(self, name))
        return ops.matmul(controls, ops.transpose(matrix))

    def at(self, step: Tensor, controls: Tensor | None = None) -> dict:
        """Returns all parameters of steps `(time, batch)`.

        Returns:
            A dict as from `LinearGaussian.steps`.
        """
        steps = {}
        lead = tuple(ops.shape(step))
        for part in ("transition", "emission"):
            found = getattr(self, part)(step, controls)
            matrix, offset, factor = (
                ops.broadcast_to(x, lead + tuple(x.shape[-rank:]))
                for x, rank in zip(found, (2, 1, 2), strict=True)
            )
            steps[f"{part}_matrix"] = matrix
            steps[f"{part}_offset"] = offset
            steps[f"{part}_factor"] = factor
        return steps

    def as_linear_gaussian(
        self, controls: Tensor | None = None
    ) -> LinearGaussian:
        """Returns the parameters by name; controls join the offsets."""
        values = {
            "initial_mean": ops.convert_to_tensor(self.initial_mean),
            "initial_covariance": _square(self.factor("initial_covariance")),
        }
        for part in ("transition", "emission"):
            name = f"{part}_covariance"
            values[name] = _square(self.factor(name))
            for kind in ("matrix", "offset"):
                name = f"{part}_{kind}"
                values[name] = ops.convert_to_tensor(getattr(self, name))
            if self.control_dim:
                pushed = self._pushed(f"{part}_controls", controls)
                # The first transition leads to the second step.
                pushed = pushed[:, 1:] if part == "transition" else pushed
                name = f"{part}_offset"
                step = ops.arange(int(pushed.shape[1]), dtype="int32")
                values[name] = pick(values[name], 1, step) + pushed
        return LinearGaussian(**values)


def pick(value: Tensor, rank: int, step: Tensor) -> Tensor:
    """Takes a parameter at given steps, unless all steps share it."""
    value = ops.convert_to_tensor(value)
    if len(value.shape) == rank:
        return value
    last = int(value.shape[0]) - 1
    return ops.take(value, ops.minimum(step, last), axis=0)


def _square(factor: Tensor) -> Tensor:
    return ops.matmul(factor, ops.swapaxes(factor, -1, -2))


def _constant(value: np.ndarray) -> Any:
    def initializer(shape: Any, dtype: Any = None) -> Tensor:
        return ops.convert_to_tensor(value.astype("float32"), dtype)

    return initializer
