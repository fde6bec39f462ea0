"""Autoregressions that switch between regimes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import batch_first, last_active, time_first
from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.cells.linear_gaussian import within
from keras_fivo.checks import check_count
from keras_fivo.distributions import Distribution, Normal, OneHotCategorical
from keras_fivo.proposals.regimes import (
    RegimeFilteringProposal,
    RegimeSmoothingProposal,
    move,
    regime_messages,
)
from keras_fivo.types import Nested, Shape, Tensor

_PROPOSALS = {
    "exact_filtering": RegimeFilteringProposal,
    "exact_smoothing": RegimeSmoothingProposal,
}
_MIN_SCALE = 1e-3  # of a regime, in standard deviations of the data


@dataclass(frozen=True)
class RegimeResult:
    """Exact answers, up to rounding.

    Attributes:
        log_evidence: `(batch,)`. log p(x_1:T) of what is observed, in nats.
        filtered: `(batch, time, regimes)`. Probabilities p(z_t | x_1:t).
        smoothed: `(batch, time, regimes)`. Probabilities p(z_t | x_1:T).
    """

    log_evidence: Tensor
    filtered: Tensor
    smoothed: Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class SwitchingCell(LatentCell):
    """A Markov-switching autoregression.

        z_t ~ transition[z_{t-1}], one of a few regimes;
        x_t = intercept[z_t] + coefficients[z_t] x_{t-1} + ... + controls_t
              + scale[z_t] noise,

    for each feature on its own, while the regime is that of all. The latent
    is a one-hot vector, so that its mean in `smooth` is the probability of
    each regime. What is missing counts as the centre of the data where later
    steps look back at it, and so does what is before the first step.

    The log evidence and the regimes' probabilities are known exactly
    (`exact`). With `proposal="exact_smoothing"` ELBO and IWAE are the log
    evidence: `kf.ELBO()` maximizes the likelihood. With `"exact_filtering"`
    the model streams, and FIVO is close to the log evidence; its gradient
    passes by the draw of regimes, and weighs them by what the filter knows
    where that of the likelihood has the smoother. Neither has weights: those
    of one cell go into the other.

    `adapt` takes centre and scale from the data; regimes start at different
    levels and scales, the first at the lowest and calmest.

    Args:
        num_regimes: Number of regimes.
        order: Number of previous observations that the next depends on.
        persistence: Probability of staying in a regime, at the start of
            training, in (0, 1).
        proposal: `"exact_filtering"`, `"exact_smoothing"`, `"transition"`,
            or a proposal that gives a `OneHotCategorical`.

    Example:
    ```python
    cell = kf.SwitchingCell(2, proposal="exact_smoothing")
    model = kf.LatentSequenceModel(cell, kf.ELBO())
    model.adapt(growth)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(growth, epochs=200)
    cell.parameters()["transition"]
    cell.exact(growth).smoothed  # probabilities of the regimes
    ```

    Reference:
        Hamilton, 1989, "A New Approach to the Economic Analysis of
        Nonstationary Time Series and the Business Cycle".
    """

    features = ("latent",)
    latents_are_markov = True
    noise = "uniform"

    def __init__(
        self,
        num_regimes: int = 2,
        order: int = 1,
        persistence: float = 0.9,
        proposal: Any = "exact_filtering",
        **kwargs: Any,
    ) -> None:
        self.num_regimes = check_count("num_regimes", num_regimes)
        self.order = check_count("order", order, least=0)
        if not 0 < persistence < 1:
            raise ValueError(
                "`persistence` must lie in (0, 1). "
                f"Received: persistence={persistence!r}"
            )
        self.persistence = float(persistence)
        if isinstance(proposal, str):
            known = sorted([*_PROPOSALS, "transition"])
            if proposal not in known:
                raise ValueError(
                    f"`proposal` must be one of {known}, or a proposal of "
                    f"regimes. Received: proposal={proposal!r}"
                )
            proposal = _PROPOSALS.get(proposal, lambda: "transition")()
        super().__init__(self.num_regimes, None, proposal, **kwargs)

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights, in standard deviations of the data."""
        count, features = self.num_regimes, observation_dim
        spread = np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)
        others = (1 - self.persistence) / max(count - 1, 1)
        stay = np.full((count, count), np.log(others))
        np.fill_diagonal(stay, np.log(self.persistence))
        # From half of the data's deviation to one and a half times it.
        scales = np.log(np.expm1(1.0 + 0.5 * spread))
        starts = {
            "transition_logits": stay,
            "initial_logits": np.zeros(count),
            "intercept": np.repeat(0.5 * spread[:, None], features, axis=1),
            "raw_scale": np.repeat(scales[:, None], features, axis=1),
        }
        if self.order:
            shape = (count, self.order, features)
            starts["coefficients"] = np.zeros(shape)
        if control_dim:
            starts["control_weights"] = np.zeros((control_dim, features))
        for name, start in starts.items():
            weight = self.add_weight(
                name=name,
                shape=start.shape,
                initializer="zeros",
                autocast=False,
                dtype="float32",
            )
            weight.assign(start.astype("float32"))
            setattr(self, name, weight)

    @property
    def noise_shape(self) -> Shape:
        """One uniform number draws a regime."""
        return OneHotCategorical.noise_shape(self.num_regimes)

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Returns previous observations; log p(x_t | z_t) of each regime."""
        centred = self.standardize(inputs["observations"])
        past, _, _ = super().encode(inputs, observed_state)
        if self.order:
            # (batch, order, features), the newest first -> oldest first.
            before = ops.flip(time_first(observed_state["previous"]), axis=0)
            whole = ops.concatenate([before, centred], axis=0)
            steps = ops.shape(centred)[0] + 1
            lags = [
                whole[self.order - lag : self.order - lag + steps]
                for lag in range(1, self.order + 1)
            ]
            # (time + 1, batch, order, features)
            previous = ops.stack(lags, axis=2)
            past["previous"] = previous[:-1]
            after = last_active(previous, inputs["active"])
            observed_state = {"previous": after}
        # (time, batch, features) -> (time, batch, regimes, features)
        loc, scale = self._of_regimes(past)
        density = Normal(loc, scale).entry_log_prob(
            ops.expand_dims(inputs["observations"], -2)
        )
        observed = ops.expand_dims(inputs["observed"], -1)
        if len(observed.shape) == len(density.shape):
            observed = ops.swapaxes(observed, -1, -2)
        else:
            observed = ops.expand_dims(observed, -1)
        density = ops.where(observed, density, ops.zeros_like(density))
        return past, ops.sum(density, axis=-1), observed_state

    def _of_regimes(self, past: dict) -> tuple[Tensor, Tensor]:
        """Returns mean and scale of x_t, `(..., regimes, features)`."""
        loc, scale = self.intercept, self._scales()
        if self.order:
            previous = ops.expand_dims(past["previous"], -3)
            loc = loc + ops.sum(self.coefficients * previous, axis=-2)
        if self.control_dim:
            pushed = ops.matmul(past["controls"], self.control_weights)
            loc = loc + ops.expand_dims(pushed, -2)
        return self.center + self.scale * loc, self.scale * scale

    def _scales(self) -> Tensor:
        return _MIN_SCALE + ops.softplus(self.raw_scale)

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """Returns previous observations, and controls."""
        past = super().past_features(observed_state, controls)
        return {**past, **observed_state}

    def past_of_all_steps(self, past: dict) -> dict:
        """Adds the log of the transition matrix, for exact proposals."""
        return {**past, "log_transition": self._log_transition()}

    def recur(self, states: Nested, past: dict) -> Nested:
        """Returns z_{t-1}, and the past."""
        return {**past, "latent": states}

    def initial_distribution(self, past: dict) -> Distribution:
        """Returns p(z_1)."""
        rows = ops.zeros((ops.shape(past["step"])[0], self.num_regimes))
        return OneHotCategorical(rows + self.initial_logits)

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | z_{t-1})."""
        return OneHotCategorical(
            ops.matmul(context["latent"], self._log_transition())
        )

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """Returns p(x_t | z_t, x_<t)."""
        loc, scale = self._of_regimes(context)
        regime = ops.expand_dims(embedded, -1)
        return Normal(
            ops.sum(regime * loc, axis=-2), ops.sum(regime * scale, axis=-2)
        )

    def emission_context(self, context: Nested) -> Nested:
        """Returns all but z_{t-1}."""
        return {k: v for k, v in context.items() if k != "latent"}

    def initial_observed_state(self, batch: int) -> dict:
        """Returns previous observations at the centre, `(batch, ...)`."""
        if not self.order:
            return {}
        shape = (batch, self.order, *self.observation_shape)
        return {"previous": ops.zeros(shape)}

    def _log_transition(self) -> Tensor:
        return ops.log_softmax(self.transition_logits, axis=-1)

    def exact(
        self,
        observations: Any,
        mask: Tensor | None = None,
        controls: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> RegimeResult:
        """Computes the log evidence, and the probabilities of the regimes.

        Args:
            observations: `(batch, time, features)`, or a dict of the
                arguments.
            mask: Bool `(batch, time)` or `(batch, time, features)`, True =
                observed.
            controls: `(batch, time, controls)`.
            lengths: Int `(batch,)`, where the mask does not tell them.
        """
        if isinstance(observations, Mapping):
            return self.exact(**observations)
        values = time_first(ops.cast(observations, "float32"))
        active = ops.ones(ops.shape(values)[:2], dtype="bool")
        mask = within(observations, mask, lengths)
        observed = active if mask is None else time_first(mask)
        seen = observed if len(observed.shape) == 3 else observed[..., None]
        center = ops.convert_to_tensor(self.center)
        inputs = {
            "observations": ops.where(seen, values, center),
            "observed": observed,
            "active": active,
        }
        if controls is not None:
            inputs["controls"] = time_first(ops.cast(controls, "float32"))
        start = self.initial_observed_state(ops.shape(values)[1])
        _, log_emission, _ = self.encode(inputs, start)
        return self._regimes(log_emission)

    def _regimes(self, log_emission: Tensor) -> RegimeResult:
        """Runs back and forth over log p(x_t | z_t) `(time, batch, ...)`."""
        log_transition = self._log_transition()
        messages = regime_messages(log_transition, log_emission)
        initial = ops.log_softmax(self.initial_logits, axis=-1)

        def step(predicted: Tensor, now: tuple) -> tuple[Tensor, tuple]:
            log_emission, message = now
            filtered = ops.log_softmax(predicted + log_emission, axis=-1)
            known = (filtered, ops.log_softmax(predicted + message, axis=-1))
            return move(filtered, log_transition), known

        start = ops.zeros_like(log_emission[0]) + initial
        _, known = backend.scan(step, start, (log_emission, messages))
        filtered, smoothed = (ops.exp(batch_first(x)) for x in known)
        evidence = ops.logsumexp(start + messages[0], axis=-1)
        return RegimeResult(evidence, filtered, smoothed)

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns the parameters by name, in the units of the data.

        `transition` `(regimes, regimes)`, whose rows sum to one; `initial`
        `(regimes,)`; `intercept` and `scale` `(regimes, features)`;
        `coefficients` `(regimes, order, features)`, if there are any; and
        `controls` `(controls, features)`, if there are any.
        """
        remembered = 0.0
        found = {
            "transition": ops.softmax(self.transition_logits, axis=-1),
            "initial": ops.softmax(self.initial_logits, axis=-1),
            "scale": self.scale * self._scales(),
        }
        if self.order:
            found["coefficients"] = self.coefficients
            remembered = ops.sum(self.coefficients, axis=1)
        # x - center obeys the equation of the weights.
        offset = self.center * (1.0 - remembered)
        found["intercept"] = offset + self.scale * self.intercept
        if self.control_dim:
            found["controls"] = self.scale * self.control_weights
        return {k: ops.convert_to_numpy(x) for k, x in found.items()}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for name in ("latent_dim", "emission", "twist"):
            del config[name]
        names = ("num_regimes", "order", "persistence")
        return {**config, **{name: getattr(self, name) for name in names}}
