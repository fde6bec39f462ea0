"""The contract between a model and the particle filter."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_fivo.cells.observing_layer import ObservingLayer
from keras_fivo.checks import check_count
from keras_fivo.distributions import (
    Distribution,
    analytic_kl,
    observed_log_prob,
)
from keras_fivo.heads import get_head
from keras_fivo.networks import Sizes
from keras_fivo.proposals import Refinement, get_proposal
from keras_fivo.twists import TwistedCell, get_twist
from keras_fivo.types import Nested, Shape, StepResult, Tensor


class LatentCell(ObservingLayer):
    """One step of a sequential latent variable model.

    Implement `transition_distribution` and `emission_distribution`, and
    `initial_distribution` where the first latent has a law of its own: that
    is a state-space model, run with the transition as its proposal. Override
    `encode`, `recur`, `embed` and `next_states` for recurrent networks, and
    `proposal_distribution` for a proposal of your own. In return the base
    class gives `call`, `generate`, states, saving, and all that
    `LatentSequenceModel` does. Where the context is a dict, name its
    `features`, and give their `sizes`, for proposals and twists with weights.

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
        self.latent_dim = check_count("latent_dim", latent_dim)
        self.emission: Any = emission and get_head(emission)
        self.proposal = get_proposal(proposal)
        self.twist: Any = None if twist is None else get_twist(twist)

    # What a subclass says about one step.

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Computes what needs no latent, for all steps at once.

        Args:
            inputs: Dict of `observations` `(time, batch, ..., features)`,
                with what is missing filled by the centre, `observed` `(time,
                batch[, ..., features])`, `active` `(time, batch)`, and where
                there are any `controls` `(time, batch, controls)` and
                `dropout`, a dict of uniforms `(batch, size)`.
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
        """Returns `past` of the next step, before its observation."""
        return {} if controls is None else {"controls": controls}

    def past_of_all_steps(self, past: dict) -> dict:
        """Adds to `past` what only proposals and twists read, before the loop.

        Args:
            past: As from `encode`, with the number of the `step`.
        """
        return past

    def look_ahead(self, past: dict, present: Nested, inputs: dict) -> Nested:
        """Returns what the proposal needs of all observations."""
        past = self.past_of_all_steps(past)
        return self.proposal.look_ahead(past, present, inputs)

    def recur(self, states: Nested, past: dict) -> Nested:
        """Returns the context of the step; by default the states."""
        return states

    def initial_distribution(self, past: dict) -> Distribution | None:
        """Returns p(z_1); None: the transition from the initial states."""
        return None

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | past)."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `transition_distribution`."
        )

    def proposal_distribution(
        self, context: Nested, present: Nested, transition: Distribution
    ) -> Distribution:
        """Returns q(z_t | ...); by default that of the `proposal`."""
        if self.features:
            features = [context[name] for name in self.features]
        else:
            features = keras.tree.flatten(context)
        return self.proposal.distribution(features, present, transition)

    def embed(self, latent: Tensor) -> Tensor:
        """Returns the latent as the networks read it; by default itself."""
        return latent

    def embed_in(self, context: Nested, latent: Tensor) -> Nested:
        """Returns `embed` of z_t, times a `latent_mask` of the context."""
        embedded = self.embed(latent)
        if isinstance(context, dict) and "latent_mask" in context:
            embedded = embedded * context["latent_mask"]
        return embedded

    def emission_distribution(
        self, context: Nested, embedded: Nested
    ) -> Distribution:
        """Returns p(x_t | z_t, past)."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `emission_distribution`."
        )

    def emission_context(self, context: Nested) -> Nested:
        """Returns what the emission reads of the context; by default all.

        Where the emission is computed after the loop, this part is kept for
        all steps.
        """
        return context

    def next_states(self, context: Nested, embedded: Nested) -> Nested:
        """Returns what the next step needs; by default the latent."""
        return embedded

    def get_initial_state(self, rows: int) -> Nested:
        """Returns states before the first step; by default zeros."""
        return ops.zeros((rows, self.latent_dim))

    def initial_observed_state(self, batch: int) -> dict:
        """Returns observed state before the first step, `(batch, ...)`."""
        return {}

    def dropout_sizes(self) -> dict[str, int]:
        """Returns sizes of the dropout masks, by name; empty: no dropout."""
        return {}

    features: Sequence[str] = ()
    """Names of what proposals read of the context; empty: all of it."""

    twist_features: Sequence[str] = ()
    """Those that the future depends on, besides the latent: a twist reads
    them."""

    noise = "normal"
    """Kind of noise that latents are made of: `"normal"` or `"uniform"`."""

    latents_are_markov = False
    """Whether states depend on the last latent and on observations alone."""

    # What the base class gives.

    @property
    def noise_shape(self) -> Shape:
        """Shape of the noise of one latent."""
        return (self.latent_dim,)

    def sizes(self) -> Sizes:
        """Returns what the proposal and the twist are built for.

        By default features are the parts of the initial states.
        """
        states = keras.tree.flatten(self.get_initial_state(1))
        names = self.features or [str(i) for i in range(len(states))]
        dims = (int(x.shape[-1]) for x in states)
        return Sizes(
            features=dict(zip(names, dims, strict=False)),
            latent_dim=self.latent_dim,
            embedded_dim=self.latent_dim,
            observation_dim=self.observation_dim,
            present_dim=self.observation_dim,
            emission=self.emission,
        )

    def build(self, input_shape: Any) -> None:
        """Creates the weights; see `ObservingLayer.build`."""
        super().build(input_shape)
        if not self.proposal.built:
            self.proposal.build(self.sizes())
        if self.twist is not None:
            self.twist.build(TwistedCell.sizes(self))

    def call(self, inputs: dict, states: Nested) -> tuple[StepResult, Nested]:
        """Takes one step, by rows.

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
        past = {**inputs["past"], "step": inputs["step"]}
        context = self.recur(states, past)
        transition = self._transition(context, past)
        proposal = self.proposal_distribution(
            context, inputs["present"], transition
        )
        noise = inputs["noise"]
        if not isinstance(noise, dict):
            noise = {"latent": noise}
        refined = Refinement(proposal)
        if "proposal" in noise:
            refined = self.proposal.refine(
                proposal,
                transition,
                inputs["present"],
                noise["proposal"],
                lambda z: self.weigh(inputs, self._emitted(context, z)),
                inputs["observed"],
                inputs.get("kl_weight"),
                inputs.get("learner"),
            )
        proposal = refined.distribution
        takes_kl = "analytic_kl" in inputs
        # z_t ~ q(z_t | ...)
        latent, log_proposal = proposal.sample_and_log_prob(noise["latent"])
        log_transition = log_proposal
        if proposal is not transition:
            log_transition = transition.log_prob(latent)
        emitted = self._emitted(context, latent)
        result = StepResult(
            latent=latent,
            log_transition=log_transition,
            log_proposal=log_proposal,
            kl=analytic_kl(proposal, transition, takes_kl),
            emitted=emitted,
            weigh=partial(self.weigh, inputs),
            context=context,
            free_energies=refined.free_energies,
            kl_weight=inputs.get("kl_weight"),
            takes_kl=takes_kl,
            learner=refined.learner,
        )
        return result, self.next_states(context, emitted["embedded"])

    def _emitted(self, context: Nested, latent: Tensor) -> dict:
        """Returns what the emission reads: latent and part of the context."""
        embedded = self.embed_in(context, latent)
        return {"context": self.emission_context(context), "embedded": embedded}

    def weigh(self, inputs: dict, emitted: Nested) -> Tensor:
        """Returns log p(x_t | z_t, past) of what is observed, `(rows,)`.

        Args:
            inputs: As for `call`; `observations` and `observed` are read.
            emitted: As in a `StepResult`.
        """
        emission = self.emission_distribution(
            emitted["context"], emitted["embedded"]
        )
        return observed_log_prob(
            emission, inputs["observations"], inputs["observed"]
        )

    def generate(
        self,
        states: Nested,
        past: dict,
        step: Tensor,
        noise: dict,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[dict, Nested]:
        """Samples one step from the model.

        Args:
            states: `(rows, ...)`.
            past: `(rows, ...)`, as from `past_features`.
            step: Int32 `(rows,)`.
            noise: `latent` `(rows, *noise_shape)`, `emission` `(rows, ...)`.
            known: Values `(rows, ...)`, and where they are known.

        Returns:
            A dict of `observations`, `means`, `latents` and, with `known`,
            `log_known` `(rows,)`, log p(known | z_t, past); and new states.
        """
        past = {**past, "step": step}
        context = self.recur(states, past)
        latent = self._transition(context, past).sample(noise["latent"])
        embedded = self.embed_in(context, latent)
        emission = self.emission_distribution(context, embedded)
        observations, means = emission.sample(noise["emission"]), emission.mean
        sampled = {"latents": latent}
        if known is not None:
            observations = emission.completed(observations, *known)
            means = emission.completed(means, *known)
            sampled["log_known"] = observed_log_prob(emission, *known)
        sampled |= {"observations": observations, "means": means}
        return sampled, self.next_states(context, embedded)

    def _transition(self, context: Nested, past: dict) -> Distribution:
        transition = self.transition_distribution(context)
        initial = self.initial_distribution(past)
        if initial is not None:
            return initial.select(past["step"] == 0, transition)
        return transition

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "latent_dim": self.latent_dim,
            "emission": self.emission and serialize(self.emission),
            "proposal": serialize(self.proposal),
            "twist": self.twist and serialize(self.twist),
        }
        return {**super().get_config(), **config}
