"""Structural time series: level, damped trend and seasonality."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.cells.chain_weights import ChainWeights
from keras_fivo.cells.linear_gaussian import LinearGaussianCell
from keras_fivo.checks import check_count, check_num_features
from keras_fivo.types import Tensor

SCALES = {"level": 0.3, "slope": 0.03, "season": 0.03, "observation": 0.5}
"""Standard deviations of the noise to begin with, in those of the data."""

_SMALLEST = 1e-3
_INITIAL = {"level": 2.0, "slope": 0.2, "season": 1.0}
"""Standard deviations of the first latent."""


@keras.saving.register_keras_serializable(package="keras_fivo")
class StructuralCell(LinearGaussianCell):
    """A structural time series model, trained by its exact log evidence.

    Each feature has a level that walks by a slope, which decays, and
    harmonics of a season, each with noise of its own:

        level_t = level_{t-1} + damping slope_{t-1} + noise;
        slope_t = damping slope_{t-1} + noise;
        harmonic_t = rotation harmonic_{t-1} + noise;
        x_t = center + scale (level_t + sum of harmonics_t
            + emission_controls u_t + noise).

    `center` and `scale` are taken by `adapt`. All that is linear Gaussian
    holds: missing steps and entries are integrated out, `exact` answers, and
    with the proposal `"exact_smoothing"` the bound `ELBO()` is the log
    evidence itself, whatever the noise. A filter that streams or forecasts
    takes the default, `"exact_filtering"`.

    Args:
        season: Number of steps of a season; None: no season.
        num_harmonics: Number of harmonics of the season; None: all, so that
            it may have any form.
        damped: Whether the slope decays, at a rate that is trained.
        num_features: Number of features, which are independent series.
        scales: Standard deviations of the noise at the start of training, in
            those of the data: a dict of any of `level`, `slope`, `season` and
            `observation`.
        proposal: A proposal, or its name; see `LinearGaussianCell`.
        twist: A twist, its name, or None; see `LinearGaussianCell`.

    Example:
    ```python
    cell = kf.StructuralCell(season=12, proposal="exact_smoothing")
    model = kf.LatentSequenceModel(cell, kf.ELBO(), kf.FIVO(64))
    model.adapt(sales)  # (batch, time, 1)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(sales, epochs=200)
    forecast = model.forecast(sales, num_steps=12)
    ```

    Reference:
        Harvey, 1989, "Forecasting, Structural Time Series Models and the
        Kalman Filter", sections 2.3 and 2.4.
    """

    def __init__(
        self,
        season: int | None = None,
        num_harmonics: int | None = None,
        damped: bool = True,
        num_features: int = 1,
        scales: Mapping[str, float] | None = None,
        proposal: Any = "exact_filtering",
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        self.season = None if season is None else check_count("season", season)
        self.num_harmonics = num_harmonics
        self.damped = bool(damped)
        self.num_features = check_count("num_features", num_features)
        self.scales = _checked_scales(scales or {})
        block, rows = _block(self.season, num_harmonics)
        super(LinearGaussianCell, self).__init__(
            len(rows) * self.num_features, None, proposal, twist, **kwargs
        )
        self.min_scale = _SMALLEST
        self.chain_weights: Any = StructuralWeights(
            block,
            rows,
            self.scales,
            self.damped,
            # Called, not kept: these weights are saved with the cell.
            lambda: (self.center, self.scale),
        )

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights."""
        check_num_features(self.num_features, observation_dim)
        super().build_parts(observation_dim, control_dim)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super(LinearGaussianCell, self).get_config()
        for name in ("latent_dim", "emission"):
            del config[name]
        names = ("season", "num_harmonics", "damped", "num_features", "scales")
        return {**config, **{name: getattr(self, name) for name in names}}


class StructuralWeights(ChainWeights):
    """Weights of a structural model, as those of a linear Gaussian one.

    Args:
        block: Transition of the latents of one feature, without the slope.
        rows: What each of these latents is: `level`, `slope` or `season`.
        scales: Initial standard deviations of the noise.
        damped: Whether the slope decays.
        units: Gives the location and the scale of the data.
    """

    def __init__(
        self,
        block: np.ndarray,
        rows: Sequence[str],
        scales: Mapping[str, float],
        damped: bool,
        units: Callable[[], tuple[Tensor, Tensor]],
    ) -> None:
        super().__init__((), (), _SMALLEST)
        self.block, self.rows, self.units = block, list(rows), units
        self.scales, self.damped = dict(scales), damped

    def build(
        self, latent_dim: int, observation_dim: int, control_dim: int
    ) -> None:
        """Creates the weights."""
        self.latent_dim, self.observation_dim = latent_dim, observation_dim
        self.control_dim = control_dim
        options = {"autocast": False, "dtype": "float32"}
        kinds = [k for k in SCALES if k in {*self.rows, "observation"}]
        self.raw_scales = {
            kind: self.add_weight(
                name=f"{kind}_scale",
                shape=(observation_dim,),
                # The inverse of the softplus.
                initializer=keras.initializers.Constant(
                    float(np.log(np.expm1(self.scales[kind] - _SMALLEST)))
                ),
                **options,
            )
            for kind in kinds
        }
        self.initial_mean = self.add_weight(
            name="initial_mean",
            shape=(latent_dim,),
            initializer="zeros",
            **options,
        )
        if self.damped:
            # A sigmoid of 3 is 0.95.
            self.raw_damping = self.add_weight(
                name="damping",
                shape=(observation_dim,),
                initializer=keras.initializers.Constant(3.0),
                **options,
            )
        if control_dim:
            self.raw_controls = self.add_weight(
                name="emission_controls",
                shape=(observation_dim, control_dim),
                initializer="zeros",
                **options,
            )
            self.transition_controls = np.zeros(
                (latent_dim, control_dim), "float32"
            )

    @property
    def damping(self) -> Tensor:
        """What is left of a slope after a step, `(features,)`."""
        if self.damped:
            return ops.sigmoid(self.raw_damping)
        return ops.ones((self.observation_dim,))

    @property
    def transition_matrix(self) -> Tensor:
        """`(latent_dim, latent_dim)`, a block for each feature."""
        slope = np.zeros_like(self.block)
        slope[:2, 1] = 1.0
        damping = ops.reshape(self.damping, (-1, 1, 1))
        blocks = _tensor(self.block) + damping * _tensor(slope)
        # (features, 1, 1, features) times (features, rows, columns, 1)
        apart = np.eye(self.observation_dim, dtype="float32")
        wide = _tensor(apart[:, None, None, :]) * ops.expand_dims(blocks, -1)
        shape = (self.latent_dim, self.latent_dim)
        return ops.reshape(ops.transpose(wide, (0, 1, 3, 2)), shape)

    @property
    def transition_offset(self) -> Tensor:
        """Zeros `(latent_dim,)`."""
        return ops.zeros((self.latent_dim,))

    @property
    def emission_matrix(self) -> Tensor:
        """`(features, latent_dim)`, in the units of the data."""
        # Of two latents of a harmonic the first is seen.
        seen = np.zeros(len(self.rows), "float32")
        seen[0] = seen[2::2] = 1.0
        apart = np.eye(self.observation_dim, dtype="float32")
        _, scale = self.units()
        return ops.expand_dims(scale, -1) * _tensor(np.kron(apart, seen))

    @property
    def emission_offset(self) -> Tensor:
        """Location of the data, `(features,)`."""
        return ops.convert_to_tensor(self.units()[0])

    @property
    def emission_controls(self) -> Tensor:
        """`(features, controls)`, in the units of the data."""
        return ops.expand_dims(self.units()[1], -1) * self.raw_controls

    def noise_scale(self, kind: str) -> Tensor:
        """Returns the deviations of a noise by those of the data, per feature.

        Args:
            kind: `level`, `slope`, `season` or `observation`.
        """
        return ops.softplus(self.raw_scales[kind]) + _SMALLEST

    def factor(self, name: str, step: Tensor | None = None) -> Tensor:
        """Returns the Cholesky factor of a covariance, which is diagonal."""
        if name == "emission_covariance":
            return ops.diag(self.units()[1] * self.noise_scale("observation"))
        if name == "initial_covariance":
            wide = [_INITIAL[kind] for kind in self.rows]
            return ops.diag(_tensor(np.array(wide * self.observation_dim)))
        each = [self.noise_scale(kind) for kind in self.rows]
        return ops.diag(ops.reshape(ops.stack(each, axis=-1), (-1,)))


def _block(
    season: int | None, num_harmonics: int | None
) -> tuple[np.ndarray, list[str]]:
    """Returns the transition of one feature less its slope, and its latents."""
    count = 0 if season is None else season // 2
    if num_harmonics is not None:
        if season is None or not 1 <= num_harmonics <= count:
            raise ValueError(
                "`num_harmonics` must be between 1 and half of `season`. "
                f"Received: num_harmonics={num_harmonics!r}, season={season!r}"
            )
        count = int(num_harmonics)
    rows = ["level", "slope"]
    matrix = np.zeros((2 + 2 * count, 2 + 2 * count))
    matrix[0, 0] = 1.0
    for i in range(count):
        angle = 2 * np.pi * (i + 1) / (season or 1)
        cosine, sine = np.cos(angle), np.sin(angle)
        at = slice(2 + 2 * i, 4 + 2 * i)
        matrix[at, at] = [[cosine, sine], [-sine, cosine]]
        rows += ["season", "season"]
    if season is not None and 2 * count == season:
        # The last harmonic of an even season alternates: it has one latent.
        matrix, rows = matrix[:-1, :-1], rows[:-1]
    return matrix.astype("float32"), rows


def _checked_scales(scales: Mapping[str, float]) -> dict[str, float]:
    unknown = sorted(set(scales) - set(SCALES))
    if unknown or not all(x > _SMALLEST for x in scales.values()):
        raise ValueError(
            f"`scales` may name {sorted(SCALES)}, each above {_SMALLEST}. "
            f"Received: scales={dict(scales)!r}"
        )
    return {**SCALES, **{k: float(x) for k, x in scales.items()}}


def _tensor(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(array, "float32")
