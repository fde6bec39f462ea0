"""The stochastic recurrent neural network."""

from dataclasses import replace

import keras
from keras import ops

from keras_fivo.axes import last_active, repeat_steps
from keras_fivo.cells.recurrent_cell import RecurrentCell
from keras_fivo.distributions import Distribution
from keras_fivo.networks import Sizes
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class SRNNCell(RecurrentCell):
    """An SRNN in the form of the code of the FIVO paper.

    A deterministic RNN reads the encoded previous observation; its output
    h_t depends on observations alone, so it runs once per sequence, before
    the loop, however many particles there are. Given it the latents are a
    Markov chain: transition p(z_t | z_{t-1}, h_t), emission
    p(x_t | z_t, h_t). The proposal also sees the encoded x_t, or, where it
    smooths, a backward RNN over [h_t, encoded x_t]; its mean is a residual
    on the transition's. A missing past observation enters as the centre: the
    model conditions on that, it does not marginalise.

    The inputs of the networks, in their order: `data_encoder` x;
    `recurrence` [encoded x_{t-1}, controls_t]; `transition`
    [h_t, encoded z_{t-1}]; `proposal` [h_t, encoded z_{t-1}, encoded x_t];
    `latent_encoder` z_t; `emission` [encoded z_t, h_t]; `twist`
    [h_t, encoded z_t]. What the first layers take from h_t, but for the
    twist's, is computed before the loop too.

    Args:
        latent_dim: Size of z.
        units: Size of the LSTM, and of the networks' hidden layers and
            encodings where they are not given. Default: `latent_dim`.
        emission: A head, its name, or a dict of them by column; see
            `JointHead`.
        proposal: A proposal, or `"filtering"`, `"smoothing"`,
            `"transition"`.
        hidden_units: Sizes of the hidden layers of all networks.
        data_encoding_dim: Size of an encoded observation.
        latent_encoding_dim: Size of an encoded latent.
        recurrent: A Keras RNN cell or layer, or `"gru"` or `"simple_rnn"`, in
            the place of the LSTM.
        activation: Activation of hidden layers.
        dropout: Rate at which features of the encoded observations, the
            encoded latents and h_t are dropped in training; the masks stay
            the same throughout a sequence.
        min_scale: Smallest standard deviation of transition and proposal.
        scale_bias: Bias of their raw standard deviations.
        center_present: Whether the present observation is centred for the
            encoder, as the previous one always is. The code of the FIVO
            paper does not.
        twist: A twist, or `"one_step"` or `"look_ahead"`; None: none.
        data_encoder: A `Network` that encodes observations; False: the other
            networks read them as they are; None: the default one.
        latent_encoder: A `Network` that encodes latents, likewise.
        transition: A `NormalHead` in the place of the default one.
        learned_initial_state: Whether the RNN and z_0 start from weights rather
            than from zeros.

    Reference:
        Fraccaro et al., 2016, "Sequential Neural Models with Stochastic
        Layers"; Maddison et al., 2017, "Filtering Variational Objectives",
        Appendix.
    """

    features = ("hidden", "latent")
    latents_are_markov = True

    def build_recurrence(self) -> None:
        """Builds the RNN."""
        self.recurrence.build(self.data_encoding_dim, 0, self.control_dim)
        if self.learned_initial_state:
            self.initial_latent = self._initial_weight(
                "initial_latent", self.latent_encoding_dim
            )

    def sizes(self) -> Sizes:
        """Returns what parts are built for; h_t is known before the loop."""
        return replace(super().sizes(), known=("hidden",))

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Encodes observations and runs the RNN over them."""
        masks = self.dropout_masks(inputs)
        previous, present, centred = self.encode_observations(
            inputs, observed_state["previous"], masks
        )
        hidden, recurrent = self.recurrence.run_from(
            observed_state["recurrent"],
            previous,
            inputs["active"],
            controls=inputs.get("controls"),
        )
        if masks:
            hidden = hidden * masks["hidden"]
        past = self._past(hidden)
        if masks:
            num_steps = ops.shape(previous)[0]
            past["latent_mask"] = repeat_steps(masks["latent"], num_steps)
        after = {
            "previous": last_active(centred, inputs["active"]),
            "recurrent": recurrent,
        }
        return past, present, after

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """Returns `past` of the next step: the RNN advances by one."""
        encoded = self.data_encoder.call([observed_state["previous"]])
        hidden, _ = self.recurrence.call(
            self.recurrence.project(encoded, controls),
            None,
            observed_state["recurrent"],
        )
        return self._past(hidden)

    def _past(self, hidden: Tensor) -> dict:
        return {
            "hidden": hidden,
            "transition": self.transition.project({0: hidden}),
            "emission": self.emission.project({1: hidden}),
        }

    def recur(self, states: Nested, past: dict) -> Nested:
        """Returns h_t, what networks take from it, and the previous latent."""
        return {**past, "latent": states["latent"]}

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | z_{t-1}, h_t)."""
        return self.transition.distribution(
            [context["hidden"], context["latent"], context["transition"]]
        )

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """Returns p(x_t | z_t, h_t)."""
        return self.emission.distribution([embedded, context["emission"]])

    def emission_context(self, context: Nested) -> Nested:
        """Returns what the emission takes from h_t."""
        return {"emission": context["emission"]}

    def next_states(self, context: Nested, embedded: Tensor) -> Nested:
        """Returns the encoded latent."""
        return {"latent": embedded}

    def get_initial_state(self, rows: int) -> Nested:
        """Returns zeros, or a weight."""
        latent = ops.zeros((rows, self.latent_encoding_dim), self.compute_dtype)
        if self.learned_initial_state:
            latent = latent + ops.cast(self.initial_latent, latent.dtype)
        return {"latent": latent}

    def initial_observed_state(self, batch: int) -> dict:
        """Returns the centred previous observation and the RNN's state: zeros.

        The RNN has not read the previous observation yet: it does so
        together with the controls of the step that follows.
        """
        return {
            "previous": ops.zeros((batch, self.observation_dim)),
            "recurrent": self.initial_recurrent_state(batch),
        }
