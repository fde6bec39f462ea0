"""Stochastic volatility: returns whose variance is a latent walk."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.checks import check_count, check_num_features, check_positive
from keras_fivo.distributions import Distribution, Normal
from keras_fivo.networks import Sizes
from keras_fivo.types import Nested, Tensor

_LARGEST = 20.0
"""Log of the largest standard deviation, and of the inverse of the smallest."""


@keras.saving.register_keras_serializable(package="keras_fivo")
class StochasticVolatilityCell(LatentCell):
    """The stochastic volatility model, for each feature on its own.

        z_1 ~ N(mu, sigma^2 / (1 - phi^2));
        z_t = mu + phi (z_{t-1} - mu) + sigma noise;
        x_t = center + exp(z_t / 2) noise.

    The latent is the log of the variance, in the squared units of the data;
    `adapt` takes `center` from them, and starts `mu` at the log of their
    variance. A learned proposal reads the observation and the log of its
    square: the mean of the log of a squared Normal is that of its variance,
    up to a constant.

    Args:
        num_features: Number of features.
        phi: Persistence at the start of training, in (0, 1).
        sigma: Standard deviation of a step of the latent, likewise.
        proposal: A proposal or its name. A learned one may carry on what it
            adds to the transition from step to step: over a hundred steps
            and more its gradients can explode.
        twist: A twist, its name, or None.

    Example:
    ```python
    cell = kf.StochasticVolatilityCell()
    model = kf.LatentSequenceModel(cell, kf.FIVO(num_particles=64))
    model.adapt(returns)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(returns, epochs=100)
    cell.parameters()  # {"mu": ..., "phi": ..., "sigma": ...}
    ```

    Reference:
        Kim et al., 1998, "Stochastic Volatility: Likelihood Inference and
        Comparison with ARCH Models".
    """

    # States are the last latent: paths can be sampled backwards.
    latents_are_markov = True

    def __init__(
        self,
        num_features: int = 1,
        phi: float = 0.9,
        sigma: float = 0.3,
        proposal: Any = "transition",
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        self.num_features = check_count("num_features", num_features)
        super().__init__(self.num_features, None, proposal, twist, **kwargs)
        if not 0 < phi < 1:
            raise ValueError(f"`phi` must lie in (0, 1). Received: phi={phi!r}")
        self.phi, self.sigma = float(phi), check_positive("sigma", sigma)

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights: the place where a cell of one's own does."""
        check_num_features(self.num_features, observation_dim)
        if control_dim:
            raise ValueError(
                "A StochasticVolatilityCell reads no controls, and nothing "
                "that is made into them. "
                f"Received: data with {control_dim} controls"
            )
        starts = {
            "mu": 0.0,
            # Inverses of the sigmoid and of the softplus.
            "raw_phi": np.log(self.phi / (1 - self.phi)),
            "raw_sigma": np.log(np.expm1(self.sigma)),
        }
        self.mu, self.raw_phi, self.raw_sigma = (
            self.add_weight(
                name=name,
                shape=(observation_dim,),
                initializer=keras.initializers.Constant(float(start)),
                autocast=False,
                dtype="float32",
            )
            for name, start in starts.items()
        )

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Takes the centre, and if it is given the scale, from the data."""
        super().adapt(mean, deviation)
        if deviation is not None:
            self.mu.assign(2.0 * np.log(deviation))

    def sizes(self) -> Sizes:
        """Returns the sizes: a proposal reads two numbers of each x_t."""
        base = super().sizes()
        return Sizes(
            features=base.features,
            latent_dim=base.latent_dim,
            embedded_dim=base.embedded_dim,
            observation_dim=base.observation_dim,
            present_dim=2 * base.observation_dim,
        )

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Returns the standardised observation, and the log of its square."""
        past, observations, observed_state = super().encode(
            inputs, observed_state
        )
        residual = self.standardize(observations)
        # What is missing is at the centre, where the log has no end.
        log_square = ops.log(ops.square(residual) + 1e-3)
        # Of a standard Normal its mean is -1.27, its deviation 2.2.
        present = ops.concatenate(
            [residual, (log_square + 1.27) / 2.2], axis=-1
        )
        return past, present, observed_state

    def initial_distribution(self, past: dict) -> Distribution:
        """Returns the stationary law of the latent."""
        phi, sigma = self._phi_and_sigma()
        scale = sigma / ops.sqrt(1.0 - ops.square(phi))
        rows = ops.zeros((ops.shape(past["step"])[0], self.num_features))
        return Normal(rows + self.mu, rows + scale)

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | z_{t-1})."""
        phi, sigma = self._phi_and_sigma()
        loc = self.mu + phi * (context - self.mu)
        return Normal(loc, ops.broadcast_to(sigma, ops.shape(loc)))

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """Returns p(x_t | z_t)."""
        center = ops.broadcast_to(self.center, ops.shape(embedded))
        # Squares of what is beyond would leave float32, and gradients too.
        half = ops.clip(embedded / 2, -_LARGEST, _LARGEST)
        return Normal(center, ops.exp(half))

    def emission_context(self, context: Nested) -> Nested:
        """Returns nothing: the latent is all that the emission takes."""
        return {}

    def _phi_and_sigma(self) -> tuple[Tensor, Tensor]:
        return ops.sigmoid(self.raw_phi), ops.softplus(self.raw_sigma)

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns `mu`, `phi` and `sigma`, NumPy `(features,)` each."""
        phi, sigma = self._phi_and_sigma()
        found = {"mu": self.mu, "phi": phi, "sigma": sigma}
        return {k: ops.convert_to_numpy(x) for k, x in found.items()}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for name in ("latent_dim", "emission"):
            del config[name]
        names = ("num_features", "phi", "sigma")
        return {**config, **{name: getattr(self, name) for name in names}}
