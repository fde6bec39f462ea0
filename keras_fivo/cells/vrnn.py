"""The variational recurrent neural network."""

import keras
from keras import ops

from keras_fivo.axes import last_active, repeat_steps
from keras_fivo.cells.recurrent_cell import RecurrentCell
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
        learned_initial_state: Whether the RNN starts from weights, which
            give h_1, rather than from zeros, of which it makes h_1.

    Reference:
        Chung et al., 2015, "A Recurrent Latent Variable Model for Sequential
        Data"; Maddison et al., 2017, "Filtering Variational Objectives",
        Appendix.
    """

    def build_recurrence(self) -> None:
        """Builds the RNN."""
        stacked = isinstance(self.recurrence.cell, keras.layers.StackedRNNCells)
        if stacked and self.learned_initial_state:
            raise ValueError(
                "`learned_initial_state` of a VRNN takes the first state for "
                "h_1, which a stack of cells does not give. Received: "
                f"recurrent={self.recurrent!r}"
            )
        self.recurrence.build(
            self.data_encoding_dim, self.latent_encoding_dim, self.control_dim
        )

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Encodes observations and projects the recurrence's part."""
        masks = self.dropout_masks(inputs)
        previous, present, centred = self.encode_observations(
            inputs, observed_state["previous"], masks
        )
        past = self._past(previous, inputs.get("controls"))
        if masks:
            num_steps = ops.shape(previous)[0]
            for name in ("hidden", "latent"):
                past[f"{name}_mask"] = repeat_steps(masks[name], num_steps)
        after = {"previous": last_active(centred, inputs["active"])}
        return past, present, after

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """Returns `past` of the next step."""
        encoded = self.data_encoder.call([observed_state["previous"]])
        return self._past(encoded, controls)

    def _past(self, previous: Tensor, controls: Tensor | None) -> dict:
        return {"recurrence": self.recurrence.project(previous, controls)}

    def recur(self, states: Nested, past: dict) -> Nested:
        """Advances the RNN."""
        hidden, recurrent = self.recurrence.call(
            past["recurrence"], states["latent"], states["recurrent"]
        )
        if self.learned_initial_state:
            # The learned state is what the RNN gives in the first step.
            first = ops.expand_dims(past["step"] == 0, -1)
            before = states["recurrent"]
            recurrent = keras.tree.map_structure(
                lambda old, new: ops.where(first, old, new), before, recurrent
            )
            learned = keras.tree.flatten(before)[0]
            hidden = ops.where(first, learned, hidden)
        context = {"hidden": hidden, "recurrent": recurrent}
        if "hidden_mask" in past:
            context["hidden"] = hidden * past["hidden_mask"]
            context["latent_mask"] = past["latent_mask"]
        return context

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | h_t)."""
        return self.transition.distribution([context["hidden"]])

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """Returns p(x_t | z_t, h_t)."""
        return self.emission.distribution([embedded, context["hidden"]])

    def emission_context(self, context: Nested) -> Nested:
        """Returns h_t."""
        return {"hidden": context["hidden"]}

    def next_states(self, context: Nested, embedded: Tensor) -> Nested:
        """Returns the RNN's state and the encoded latent."""
        return {"recurrent": context["recurrent"], "latent": embedded}

    def get_initial_state(self, rows: int) -> Nested:
        """Returns zeros."""
        return {
            "recurrent": self.initial_recurrent_state(rows),
            "latent": ops.zeros(
                (rows, self.latent_encoding_dim), self.compute_dtype
            ),
        }

    def initial_observed_state(self, batch: int) -> dict:
        """Returns the centred previous observation: zeros."""
        return {"previous": ops.zeros((batch, self.observation_dim))}
