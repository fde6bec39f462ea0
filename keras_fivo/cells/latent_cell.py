"""The contract between a model and the particle filter."""

from typing import Any

import keras
from keras import ops

from keras_fivo.cells.observing_layer import ObservingLayer
from keras_fivo.cells.step_result import StepResult, analytic_kl
from keras_fivo.distributions import Distribution
from keras_fivo.heads import get_head
from keras_fivo.proposals import get_proposal
from keras_fivo.twists import TwistSizes, get_twist, observed_log_prob
from keras_fivo.types import Nested, Shape, Tensor


class LatentCell(ObservingLayer):
    """One step of a sequential latent variable model.

    Implement `transition_distribution` and `emission_distribution`, and
    `initial_distribution` where the first latent has a law of its own: that
    is a state-space model, run with the transition as its proposal. Override
    `encode`, `recur`, `embed` and `next_states` for recurrent networks, and
    `proposal_distribution` for a proposal of your own. In return the base
    class gives `call`, `generate`, states, saving, and all that
    `LatentSequenceModel` does.

    All methods but `encode` and `look_ahead` work on rows, of which each
    belongs to one particle; their arguments have no time axis. A method
    reads its arguments and the cell's weights and nothing else. After
    `encode`, `past` gets the number of the step, from 0, as `step`.

    Args:
        latent_dim: Size of the latent.
        emission: A head, its name, or None where `emission_distribution` is
            overridden.
        proposal: A proposal or its name.
        twist: A twist, which multiplies the filter's target, its name, or
            None.
    """

    def __init__(
        self,
        latent_dim: int,
        emission: Any = None,
        proposal: Any = "transition",
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if int(latent_dim) < 1:
            raise ValueError(
                "`latent_dim` must be a positive size. "
                f"Received: latent_dim={latent_dim!r}"
            )
        self.latent_dim = int(latent_dim)
        self.emission: Any = emission and get_head(emission)
        self.proposal = get_proposal(proposal)
        self.twist: Any = None if twist is None else get_twist(twist)

    # What a subclass says about one step.

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Computes what needs no latent, for all steps at once.

        Args:
            inputs: Dict of `observations` `(time, batch, features)`, with
                what is missing filled by the centre, `observed` `(time,
                batch[, features])`, `active` `(time, batch)`, and where there
                are any `controls` `(time, batch, controls)` and `dropout`,
                a dict of uniforms `(batch, size)`.
            observed_state: What depends on observations alone, `(batch,
                ...)`, before the first step.

        Returns:
            `past`, a dict `(time, batch, ...)` in which step t depends on
            observations before t alone; `present`, which may also see the
            observation of step t; and the observed state after each
            sequence's last step.
        """
        past = {}
        if "controls" in inputs:
            past["controls"] = inputs["controls"]
        return past, inputs["observations"], observed_state

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """`past` of the next step, `(batch, ...)`, before its observation."""
        return {} if controls is None else {"controls": controls}

    def look_ahead(self, past: dict, present: Nested, inputs: dict) -> Nested:
        """What the proposal needs of all observations, once after `encode`."""
        return self.proposal.look_ahead(
            past, present, inputs, self.known_features(past)
        )

    def known_features(self, past: dict) -> list[Tensor | None]:
        """Features of the context that are known before the loop.

        Returns:
            A list as of `context_features`, `(time, batch, size)` each, with
            None for those that depend on latents; or empty, if all do.
        """
        return []

    def recur(self, states: Nested, past: dict) -> Nested:
        """The context of the step; by default the states."""
        return states

    def context_features(self, context: Nested) -> list[Tensor]:
        """The context as a list of `(rows, size)`, for proposals."""
        return keras.tree.flatten(context)

    def initial_distribution(self, past: dict) -> Distribution | None:
        """p(z_1); None: the transition from the initial states."""
        return None

    def transition_distribution(self, context: Nested) -> Distribution:
        """p(z_t | past)."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `transition_distribution`."
        )

    def proposal_distribution(
        self, context: Nested, present: Nested, transition: Distribution
    ) -> Distribution:
        """q(z_t | ...); by default asks the cell's `proposal`."""
        return self.proposal.distribution(
            self.context_features(context), present, transition
        )

    def embed(self, latent: Tensor) -> Tensor:
        """The latent as the networks read it; by default itself."""
        return latent

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """p(x_t | z_t, past)."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `emission_distribution`."
        )

    def emission_context(self, context: Nested) -> Nested:
        """The part of the context that the emission reads; by default all.

        Where the emission is computed after the loop, this part is kept for
        all steps.
        """
        return context

    def twist_sizes(self) -> TwistSizes:
        """What the twist is built for."""
        return TwistSizes(
            context_dims=[],
            latent_dim=self.latent_dim,
            present_dim=self.observation_dim,
            observation_dim=self.observation_dim,
            emission=self.emission,
        )

    def twist_look_ahead(
        self, past: dict, present: Nested, inputs: dict
    ) -> Nested:
        """What the twist needs of all observations, as `look_ahead`."""
        return self.twist.look_ahead(past, present, inputs)

    def read_by_twist(self, context: Nested, embedded: Tensor) -> dict:
        """What the future may depend on, as the twist reads it.

        Returns:
            A dict of `context`, a list of `(rows, size)`, by default empty,
            and `latent`, `(rows, size)`; of the sizes of `twist_sizes`.
        """
        return {"context": [], "latent": embedded}

    def initial_twist_reading(self, rows: int) -> dict:
        """Zeros of the shapes of `read_by_twist`, in float32."""
        sizes = self.twist_sizes()
        return {
            "context": [ops.zeros((rows, n)) for n in sizes.context_dims],
            "latent": ops.zeros((rows, sizes.latent_dim)),
        }

    def log_twist(self, read: dict, look_ahead: Nested) -> Tensor:
        """Log r of the future, `(rows,)`; by default asks the cell's twist.

        Args:
            read: As from `read_by_twist`.
            look_ahead: One step of what `twist_look_ahead` returned, by rows.
        """
        return self.twist.log_twist(read["context"], read["latent"], look_ahead)

    def next_states(self, context: Nested, embedded: Tensor) -> Nested:
        """What the next step needs; by default the latent."""
        return embedded

    def get_initial_state(self, rows: int) -> Nested:
        """States before the first step, `(rows, ...)`; by default zeros."""
        return ops.zeros((rows, self.latent_dim))

    def initial_observed_state(self, batch: int) -> dict:
        """Observed state before the first step, `(batch, ...)`."""
        return {}

    def dropout_sizes(self) -> dict[str, int]:
        """Sizes of the dropout masks, by name; empty: no dropout."""
        return {}

    # What the base class gives.

    noise = "normal"
    """Kind of noise that latents are made of: `"normal"` or `"uniform"`."""

    latents_are_markov = False
    """Whether states depend on the last latent and on observations alone."""

    @property
    def noise_shape(self) -> Shape:
        """Shape of the noise of one latent."""
        return (self.latent_dim,)

    def build(self, input_shape: Any) -> None:
        """Creates the weights; see `ObservingLayer.build`."""
        super().build(input_shape)
        if self.twist is not None:
            self.twist.build(self.twist_sizes())

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Takes centring and biases from the data; see `ObservingLayer`."""
        super().adapt(mean, deviation)
        if self.twist is not None:
            self.twist.adapt(mean, deviation)

    def propose(
        self, inputs: dict, states: Nested
    ) -> tuple[Nested, Tensor, dict, Nested]:
        """Draws the latent; see `smc.StateSpaceModel`."""
        result, after, proposed = self._propose(inputs, states)
        increment = result["log_transition"] - result["log_proposal"]
        return after, increment, result, proposed

    def weigh(self, inputs: dict, proposed: Nested) -> Tensor:
        """Log p(x_t | z_t, past) of what is observed, `(rows,)`."""
        emission = self.emission_distribution(
            proposed["context"], proposed["embedded"]
        )
        return observed_log_prob(
            emission, inputs["observations"], inputs["observed"]
        )

    def call(self, inputs: dict, states: Nested) -> tuple[StepResult, Nested]:
        """One step, by rows.

        Args:
            inputs: Dict of `past` and `present` (one step of what `encode`
                and `look_ahead` return), `step` `(rows,)`, `observations`
                `(rows, features)`, `observed` `(rows[, features])` and
                `noise`, a dict of `latent` `(rows, *noise_shape)` and, where
                the proposal has any, `proposal`; or the first alone.
            states: As from `get_initial_state`.

        Returns:
            A `StepResult` and the new states.
        """
        result, new_states, proposed = self._propose(inputs, states)
        log_emission = self.weigh(inputs, proposed)
        return StepResult(log_emission=log_emission, **result), new_states

    def _propose(
        self, inputs: dict, states: Nested
    ) -> tuple[dict, Nested, Nested]:
        past = {**inputs["past"], "step": inputs["step"]}
        context = self.recur(states, past)
        transition = self._transition(context, past)
        proposal = self.proposal_distribution(
            context, inputs["present"], transition
        )
        noise = inputs["noise"]
        noise = noise if isinstance(noise, dict) else {"latent": noise}
        if "proposal" in noise:
            given = proposal, transition, inputs["present"], noise["proposal"]
            proposal = self.proposal.refine(
                *given,
                lambda z: self.weigh(
                    inputs, {"context": context, "embedded": self.embed(z)}
                ),
            )
        latent, log_proposal = proposal.sample_and_log_prob(noise["latent"])
        log_transition = log_proposal
        if proposal is not transition:
            log_transition = transition.log_prob(latent)
        embedded = self.embed(latent)
        kl = ops.stop_gradient(analytic_kl(proposal, transition))
        result = {"latent": latent, "log_transition": log_transition}
        result.update(log_proposal=log_proposal, kl=kl)
        if "twist" in inputs:
            result["twist"] = self.read_by_twist(context, embedded)
        proposed = {
            "context": self.emission_context(context),
            "embedded": embedded,
        }
        return result, self.next_states(context, embedded), proposed

    def generate(
        self, states: Nested, past: dict, step: Tensor, noise: dict
    ) -> tuple[dict, Nested]:
        """Samples one step from the model.

        Args:
            states: `(rows, ...)`.
            past: `(rows, ...)`, as from `past_features`.
            step: Int32 `(rows,)`.
            noise: `latent` `(rows, *noise_shape)`, `emission` `(rows, ...)`.

        Returns:
            A dict of `observations`, `means` and `latents`, and new states.
        """
        past = {**past, "step": step}
        context = self.recur(states, past)
        latent = self._transition(context, past).sample(noise["latent"])
        embedded = self.embed(latent)
        emission = self.emission_distribution(context, embedded)
        sampled = {
            "observations": emission.sample(noise["emission"]),
            "means": emission.mean,
            "latents": latent,
        }
        return sampled, self.next_states(context, embedded)

    def _transition(self, context: Nested, past: dict) -> Distribution:
        transition = self.transition_distribution(context)
        initial = self.initial_distribution(past)
        if initial is not None:
            return initial.select(past["step"] == 0, transition)
        return transition

    def get_config(self) -> dict:
        """Constructor arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "latent_dim": self.latent_dim,
            "emission": self.emission and serialize(self.emission),
            "proposal": serialize(self.proposal),
            "twist": self.twist and serialize(self.twist),
        }
        return {**super().get_config(), **config}
