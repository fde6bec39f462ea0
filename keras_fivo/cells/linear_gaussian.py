"""Linear Gaussian state-space models as cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_fivo.cells.chain_weights import ChainWeights, given_parameters
from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.distributions import Distribution, normal_from_factor
from keras_fivo.linear_gaussian import LinearGaussian, Posterior
from keras_fivo.types import Nested, Tensor


@dataclass(frozen=True)
class ExactResult:
    """Exact answers, up to rounding.

    Steps after the last observation hold predictions.

    Attributes:
        log_evidence: `(batch,)`. log p(x_1:T) of what is observed, in nats.
        filtered_means: `(batch, time, latent_dim)`. Of p(z_t | x_1:t).
        filtered_covariances: `(batch, time, latent_dim, latent_dim)`.
        smoothed_means: `(batch, time, latent_dim)`. Of p(z_t | x_1:T).
        smoothed_covariances: `(batch, time, latent_dim, latent_dim)`.
    """

    log_evidence: Tensor
    filtered_means: Tensor
    filtered_covariances: Tensor
    smoothed_means: Tensor
    smoothed_covariances: Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LinearGaussianCell(LatentCell):
    """A linear Gaussian state-space model.

    z_1 ~ N(initial_mean, initial_covariance);
    z_t = transition_matrix z_{t-1} + transition_offset
    + transition_controls u_t + noise;
    x_t = emission_matrix z_t + emission_offset + emission_controls u_t
    + noise.

    Of this model the log evidence, the marginals of the latents and more
    are known exactly (`exact`, and the functions of `linear_gaussian` on
    `chain`), so it shows how far a bound lies from what it bounds. Missing
    steps and entries are integrated out.

    Args:
        latent_dim: Size of z.
        parameters: Dict of initial values by the names above, with
            `transition_covariance` and `emission_covariance`; or a
            `LinearGaussian`. A value with a leading axis of time belongs to
            each step: n - 1 entries for transitions, of which the first
            takes z_1 to z_2, n for emissions; beyond its entries it stays as
            in the last one. Default: zero offsets, unit covariances, a
            transition matrix of 0.9 on the diagonal, a random emission
            matrix.
        fixed: Names of the parameters that are not trained; True: all.
        proposal: A proposal, or `"transition"`, `"exact_filtering"`,
            `"exact_smoothing"`, `"filtering"`, `"smoothing"`.
        min_scale: Smallest diagonal entry of the covariances' Cholesky
            factors, a standard deviation.
        twist: A twist, or `"exact"`, `"one_step"` or `"look_ahead"`; None:
            none.

    Example:
        >>> cell = LinearGaussianCell(2, {"transition_matrix": np.eye(2)})
        >>> cell.build((None, None, 3))
        >>> cell.exact(observations).log_evidence
    """

    features = ("latent",)
    latents_are_markov = True

    def __init__(
        self,
        latent_dim: int,
        parameters: Mapping[str, Any] | LinearGaussian | None = None,
        fixed: bool | Sequence[str] = (),
        proposal: Any = "transition",
        min_scale: float = 1e-3,
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, None, proposal, twist, **kwargs)
        self.min_scale = float(min_scale)
        self.chain_weights = ChainWeights(
            given_parameters(parameters), fixed, self.min_scale
        )

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights."""
        self.chain_weights.build(self.latent_dim, observation_dim, control_dim)

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Takes controls as the past, observations as the present."""
        past, observations, observed_state = super().encode(
            inputs, observed_state
        )
        return past, self.standardize(observations), observed_state

    def past_of_all_steps(self, past: dict) -> dict:
        """Adds the chain's parameters, for exact proposals and twists."""
        steps = self.chain_weights.at(past["step"], past.get("controls"))
        return {**past, "parameters": steps}

    def recur(self, states: Nested, past: dict) -> Nested:
        """Returns z_{t-1}, the number of the step, and the controls."""
        return {**past, "latent": states}

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | z_{t-1}), or p(z_1)."""
        matrix, offset, factor = self.chain_weights.transition(
            context["step"], context.get("controls")
        )
        return normal_from_factor(
            _apply(matrix, context["latent"]) + offset, factor
        )

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """Returns p(x_t | z_t)."""
        matrix, offset, factor = self.chain_weights.emission(
            context["step"], context.get("controls")
        )
        return normal_from_factor(_apply(matrix, embedded) + offset, factor)

    def emission_context(self, context: Nested) -> Nested:
        """Returns all but z_{t-1}."""
        return {k: v for k, v in context.items() if k != "latent"}

    def chain(self, controls: Tensor | None = None) -> LinearGaussian:
        """Returns the parameters, for the functions of `linear_gaussian`.

        Args:
            controls: `(batch, time, controls)`, where the cell takes any.
        """
        return self.chain_weights.as_linear_gaussian(controls)

    def exact(
        self,
        observations: Any,
        mask: Tensor | None = None,
        controls: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> ExactResult:
        """Computes the log evidence, and marginals of the latents.

        Args:
            observations: `(batch, time, features)`, or a dict of the
                arguments.
            mask: Bool `(batch, time)` or `(batch, time, features)`, True =
                observed.
            controls: `(batch, time, controls)`.
            lengths: Int `(batch,)`, where the mask does not tell them.

        Returns:
            An `ExactResult`.
        """
        if isinstance(observations, Mapping):
            return self.exact(**observations)
        posterior = self.posterior(observations, mask, controls, lengths)
        filtered, smoothed = posterior.filtered(), posterior.smoothed()
        return ExactResult(
            log_evidence=filtered.log_evidence,
            filtered_means=filtered.means,
            filtered_covariances=filtered.covariances,
            smoothed_means=smoothed.means,
            smoothed_covariances=smoothed.covariances,
        )

    def posterior(
        self,
        observations: Any,
        mask: Tensor | None = None,
        controls: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Posterior:
        """Returns what `exact` reads its answers from; it samples paths, too.

        Args:
            observations: `(batch, time, features)`.
            mask: As for `exact`.
            controls: As for `exact`.
            lengths: As for `exact`.
        """
        mask = within(observations, mask, lengths)
        return Posterior(self.chain(controls), observations, mask)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["emission"]
        return {
            **config,
            "parameters": {
                name: value.tolist() for name, value in self.chain_weights.given
            },
            "fixed": list(self.chain_weights.fixed),
            "min_scale": self.min_scale,
        }


def _apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Multiplies a matrix of all rows, or of each, with `(rows, size)`."""
    if len(matrix.shape) == 2:
        return ops.matmul(vectors, ops.transpose(matrix))
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vectors, -1)), -1)


def within(
    observations: Any, mask: Tensor | None, lengths: Tensor | None
) -> Tensor | None:
    """Returns a mask that is False beyond the lengths, if any are given.

    Args:
        observations: `(batch, time, features)`.
        mask: Bool `(batch, time)` or `(batch, time, features)`, or None.
        lengths: Int `(batch,)`, or None.
    """
    if lengths is None:
        return mask
    steps = ops.arange(ops.shape(observations)[1], dtype="int32")
    lengths = ops.expand_dims(ops.convert_to_tensor(lengths), -1)
    inside = steps < ops.cast(lengths, "int32")
    if mask is None:
        return inside
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    if len(mask.shape) == 3:
        inside = ops.expand_dims(inside, -1)
    return ops.logical_and(mask, inside)
