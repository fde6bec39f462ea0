"""The variational recurrent neural network."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.cells.latent_cell import LatentCell, last_active
from keras_fivo.distributions import Distribution
from keras_fivo.heads import NormalHead
from keras_fivo.networks import Network, Recurrence
from keras_fivo.proposals import ProposalSizes
from keras_fivo.types import Nested, Tensor


def checked_rate(dropout: float) -> float:
    """A rate of dropout in [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` must lie in [0, 1). Received: dropout={dropout!r}"
        )
    return float(dropout)


@keras.saving.register_keras_serializable(package="keras_fivo")
class VRNNCell(LatentCell):
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
    `emission` [encoded z_t, h_t].

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
        recurrent: A Keras RNN cell in the place of the LSTM.
        activation: Activation of hidden layers.
        dropout: Rate at which features of the encoded observations, the
            encoded latents and h_t are dropped in training; the masks stay
            the same throughout a sequence.
        min_scale: Smallest standard deviation of transition and proposal.
        scale_bias: Bias of their raw standard deviations.
        center_present: Whether the present observation is centred for the
            encoder, as the previous one always is. The code of the FIVO
            paper does not.

    Reference:
        Chung et al., 2015, "A Recurrent Latent Variable Model for Sequential
        Data"; Maddison et al., 2017, "Filtering Variational Objectives",
        Appendix.
    """

    def __init__(
        self,
        latent_dim: int,
        units: int | None = None,
        emission: Any = "bernoulli",
        proposal: Any = "filtering",
        hidden_units: Sequence[int] | None = None,
        data_encoding_dim: int | None = None,
        latent_encoding_dim: int | None = None,
        recurrent: Any = None,
        activation: Any = "relu",
        dropout: float = 0.0,
        min_scale: float = 1e-3,
        scale_bias: float = 0.25,
        center_present: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, emission, proposal, **kwargs)
        self.units = self.latent_dim if units is None else int(units)
        self.hidden_units = [
            int(x)
            for x in ([self.units] if hidden_units is None else hidden_units)
        ]
        self.data_encoding_dim = int(data_encoding_dim or self.units)
        self.latent_encoding_dim = int(latent_encoding_dim or self.units)
        self.activation = keras.activations.get(activation)
        self.min_scale = float(min_scale)
        self.scale_bias = float(scale_bias)
        self.center_present = bool(center_present)
        self.dropout = checked_rate(dropout)
        self.recurrent = recurrent
        self._create_networks(recurrent)

    def _create_networks(self, recurrent: Any) -> None:
        options = {"activation": self.activation, "dtype": self.dtype_policy}
        self.data_encoder = Network(
            [*self.hidden_units, self.data_encoding_dim],
            name="data_encoder",
            **options,
        )
        self.latent_encoder = Network(
            [*self.hidden_units, self.latent_encoding_dim],
            name="latent_encoder",
            **options,
        )
        self.transition = NormalHead(
            self.latent_dim,
            self.hidden_units,
            min_scale=self.min_scale,
            scale_bias=self.scale_bias,
            name="transition",
            **options,
        )
        if recurrent is None:
            recurrent = keras.layers.LSTMCell(
                self.units, name="lstm_cell", dtype=self.dtype_policy
            )
        self.recurrence = Recurrence(
            recurrent, name="recurrence", dtype=self.dtype_policy
        )

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights of the networks."""
        self.control_dim = control_dim
        hidden = self.recurrence.output_dim
        self.data_encoder.build([observation_dim])
        self.latent_encoder.build([self.latent_dim])
        self.recurrence.build(
            self.data_encoding_dim, self.latent_encoding_dim, control_dim
        )
        self.transition.build([hidden])
        self.emission.build(
            [self.latent_encoding_dim, hidden],
            observation_dim,
            self.hidden_units,
        )
        self.proposal.build(
            ProposalSizes(
                context_dims=[hidden],
                present_dim=self.data_encoding_dim,
                latent_dim=self.latent_dim,
                hidden_units=self.hidden_units,
                recurrent_dim=self.units,
                scale_options={
                    "min_scale": self.min_scale,
                    "scale_bias": self.scale_bias,
                    "activation": self.activation,
                },
            )
        )

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Encodes observations and reads the recurrence's part ahead."""
        observations = inputs["observations"]
        centred = self.standardize(observations)
        first = ops.expand_dims(observed_state["previous"], 0)
        centred = ops.concatenate([first, centred], axis=0)
        encoded = self.data_encoder.call([centred])
        masks = self._dropout_masks(inputs)
        previous, present = encoded[:-1], encoded[1:]
        if not self.center_present:
            present = self.data_encoder.call([observations])
        if masks:
            previous, present = (
                previous * masks["data"],
                present * masks["data"],
            )
        past = self._past(previous, inputs.get("controls"))
        for name in ("hidden", "latent"):
            if masks:
                past[name] = ops.broadcast_to(
                    masks[name],
                    (ops.shape(previous)[0], *ops.shape(masks[name])),
                )
        return (
            past,
            present,
            {"previous": last_active(centred, inputs["active"])},
        )

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """`past` of the next step."""
        encoded = self.data_encoder.call([observed_state["previous"]])
        return self._past(encoded, controls)

    def _past(self, previous: Tensor, controls: Tensor | None) -> dict:
        return {"recurrence": self.recurrence.read_ahead(previous, controls)}

    def _dropout_masks(self, inputs: dict) -> dict:
        keep = 1.0 - self.dropout
        return {
            name: ops.cast(uniforms < keep, self.compute_dtype) / keep
            for name, uniforms in inputs.get("dropout", {}).items()
        }

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

    def embed(self, latent: Tensor) -> Tensor:
        """Encodes z_t."""
        return self.latent_encoder.call([latent])

    def emission_distribution(
        self, context: Nested, embedded: Tensor
    ) -> Distribution:
        """p(x_t | z_t, h_t)."""
        return self.emission.distribution(
            [self._masked(context, embedded), context["hidden"]]
        )

    def next_states(self, context: Nested, embedded: Tensor) -> Nested:
        """The RNN's state and the encoded latent."""
        latent = self._masked(context, embedded)
        return {"recurrent": context["recurrent"], "latent": latent}

    def _masked(self, context: Nested, embedded: Tensor) -> Tensor:
        mask = context.get("latent_mask")
        return embedded if mask is None else embedded * mask

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

    def dropout_sizes(self) -> dict[str, int]:
        """Sizes of the masks of dropout."""
        if not self.dropout:
            return {}
        return {
            "data": self.data_encoding_dim,
            "latent": self.latent_encoding_dim,
            "hidden": self.recurrence.output_dim,
        }

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            name: getattr(self, name)
            for name in (
                "units",
                "hidden_units",
                "data_encoding_dim",
                "latent_encoding_dim",
                "dropout",
                "min_scale",
                "scale_bias",
                "center_present",
            )
        }
        config["activation"] = keras.activations.serialize(self.activation)
        config["recurrent"] = self.recurrent and (
            keras.saving.serialize_keras_object(self.recurrent)
        )
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict) -> "VRNNCell":
        """Rebuilds the cell with its parts."""
        config = dict(config)
        recurrent = config.pop("recurrent", None)
        if recurrent is not None:
            recurrent = keras.saving.deserialize_keras_object(recurrent)
        return cls(recurrent=recurrent, **config)
