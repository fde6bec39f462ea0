"""The variational recurrent neural network."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_fivo.cells.recurrent_cell import RecurrentCell, over_time
from keras_fivo.cells.step_result import last_active
from keras_fivo.distributions import Distribution
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class VRNNCell(RecurrentCell):
    """A VRNN in the form of the FIVO paper.

    An RNN reads the encoded previous observation and the encoded previous
    latent; its output h_t gives the transition p(z_t | h_t), with z_t the
    emission p(x_t | z_t, h_t), and with the encoded x_t the proposal, whose
    mean is a residual on the transition's. One encoder reads the previous
    and the present observation. A missing past observation enters as the
    centre: the model conditions on that, it does not marginalise.

    The inputs of the networks, in their order: `data_encoder` x;
    `recurrence` [encoded x_{t-1}, encoded z_{t-1}, controls_t];
    `transition` h_t; `proposal` [h_t, encoded x_t]; `latent_encoder` z_t;
    `emission` [encoded z_t, h_t]; `twist` [h_t, encoded z_t].

    Args:
        latent_dim: Size of z.
        units: Size of the LSTM, and of the networks' hidden layers and
            encodings where they are not given. Default: `latent_dim`.
        emission: A head, or `"bernoulli"` or `"normal"`.
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

    Reference:
        Chung et al., 2015, "A Recurrent Latent Variable Model for Sequential
        Data"; Maddison et al., 2017, "Filtering Variational Objectives",
        Appendix.
    """

    def build_recurrent_parts(self) -> Sequence[int]:
        """Builds the RNN and the transition; see `RecurrentCell`."""
        self.recurrence.build(
            self.data_encoding_dim, self.latent_encoding_dim, self.control_dim
        )
        self.transition.build([self.recurrence.output_dim])
        return [self.recurrence.output_dim]

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Encodes observations and reads the recurrence's part ahead."""
        masks = self.dropout_masks(inputs)
        previous, present, centred = self.encode_observations(
            inputs, observed_state["previous"], masks
        )
        past = self._past(previous, inputs.get("controls"))
        if masks:
            past["hidden"] = over_time(masks["hidden"], previous)
            past["latent"] = over_time(masks["latent"], previous)
        after = {"previous": last_active(centred, inputs["active"])}
        return past, present, after

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """`past` of the next step."""
        encoded = self.data_encoder.call([observed_state["previous"]])
        return self._past(encoded, controls)

    def _past(self, previous: Tensor, controls: Tensor | None) -> dict:
        return {"recurrence": self.recurrence.read_ahead(previous, controls)}

    def recur(self, states: Nested, past: dict) -> Nested:
        """Advances the RNN."""
        latent = states["latent"]
        hidden, recurrent = self.recurrence.call(
            past["recurrence"], latent, states["recurrent"]
        )
        context = {"hidden": hidden, "recurrent": recurrent}
        if "hidden" in past:
            context["hidden"] = hidden * past["hidden"]
            context["latent_mask"] = past["latent"]
        return context

    def context_features(self, context: Nested) -> list[Tensor]:
        """h_t."""
        return [context["hidden"]]

    def transition_distribution(self, context: Nested) -> Distribution:
        """p(z_t | h_t)."""
        return self.transition.distribution([context["hidden"]])

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """p(x_t | z_t, h_t)."""
        return self.emission.distribution(
            [self.mask_latent(context, embedded), context["hidden"]]
        )

    def emission_context(self, context: Nested) -> Nested:
        """All but the RNN's state."""
        return {k: v for k, v in context.items() if k != "recurrent"}

    def next_states(self, context: Nested, embedded: Tensor) -> Nested:
        """The RNN's state and the encoded latent."""
        latent = self.mask_latent(context, embedded)
        return {"recurrent": context["recurrent"], "latent": latent}

    def get_initial_state(self, rows: int) -> Nested:
        """Zeros."""
        return {
            "recurrent": self.recurrence.initial_state(rows),
            "latent": ops.zeros(
                (rows, self.latent_encoding_dim), self.compute_dtype
            ),
        }

    def initial_observed_state(self, batch: int) -> dict:
        """The centred previous observation: zeros."""
        return {"previous": ops.zeros((batch, self.observation_dim))}
