"""What the VRNN and the SRNN share: their networks and their settings."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.heads import NormalHead
from keras_fivo.networks import Network, Recurrence, get_recurrent_cell
from keras_fivo.proposals import ProposalSizes
from keras_fivo.twists import TwistSizes
from keras_fivo.types import Nested, Tensor


def checked_rate(dropout: float) -> float:
    """A rate of dropout in [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` must lie in [0, 1). Received: dropout={dropout!r}"
        )
    return float(dropout)


class RecurrentCell(LatentCell):
    """A cell with an RNN, two encoders, and heads on their outputs.

    A subclass says what the RNN and the heads read: it builds them in
    `build_recurrent_parts`, and gives `encode`, `past_features`, `recur`,
    the distributions and the states.

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
        twist: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, emission, proposal, twist, **kwargs)
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
        if recurrent is not None:
            recurrent = get_recurrent_cell(
                recurrent, self.units, dtype=self.dtype_policy
            )
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
            adaptive=False,
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

    def build_recurrent_parts(self) -> Sequence[int]:
        """Builds the RNN and the transition.

        Returns:
            The sizes of the features of the context, which the transition
            and, before the encoded observation, the proposal read.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `build_recurrent_parts`."
        )

    known_context: Sequence[bool] = (False,)
    """Which features of the context are known before the loop."""

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights of the networks."""
        self.control_dim = control_dim
        self.data_encoder.build([observation_dim])
        self.latent_encoder.build([self.latent_dim])
        context_dims = self.build_recurrent_parts()
        self.emission.build(
            [self.latent_encoding_dim, self.recurrence.output_dim],
            observation_dim,
            self.hidden_units,
        )
        self.proposal.build(
            ProposalSizes(
                context_dims=context_dims,
                present_dim=self.data_encoding_dim,
                latent_dim=self.latent_dim,
                hidden_units=self.hidden_units,
                recurrent_dim=self.units,
                known_context=self.known_context,
                scale_options={
                    "min_scale": self.min_scale,
                    "scale_bias": self.scale_bias,
                    "activation": self.activation,
                },
            )
        )

    def twist_sizes(self) -> TwistSizes:
        """The twist reads h_t and the encoded z_t."""
        return TwistSizes(
            context_dims=[self.recurrence.output_dim],
            latent_dim=self.latent_encoding_dim,
            present_dim=self.data_encoding_dim,
            observation_dim=self.observation_dim,
            emission=self.emission,
            hidden_units=self.hidden_units,
            recurrent_dim=self.units,
            activation=self.activation,
        )

    def read_by_twist(self, context: Nested, embedded: Tensor) -> dict:
        """h_t and the encoded z_t."""
        latent = self.mask_latent(context, embedded)
        return {"context": [context["hidden"]], "latent": latent}

    def encode_observations(
        self, inputs: dict, previous: Tensor, masks: dict
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encodes the previous and the present observation of each step.

        Args:
            inputs: As for `encode`.
            previous: `(batch, features)`, centred, before the first step.
            masks: As from `dropout_masks`.

        Returns:
            The encoded previous and present observations, `(time, batch,
            data_encoding_dim)`, and the centred ones, `(time + 1, batch,
            features)`, with `previous` first.
        """
        observations = inputs["observations"]
        centred = self.standardize(observations)
        first = ops.expand_dims(previous, 0)
        centred = ops.concatenate([first, centred], axis=0)
        encoded = self.data_encoder.call([centred])
        before, present = encoded[:-1], encoded[1:]
        if not self.center_present:
            present = self.data_encoder.call([observations])
        if masks:
            before, present = before * masks["data"], present * masks["data"]
        return before, present, centred

    def dropout_masks(self, inputs: dict) -> dict:
        """Masks `(batch, size)` by name; empty outside training."""
        keep = 1.0 - self.dropout
        return {
            name: ops.cast(uniforms < keep, self.compute_dtype) / keep
            for name, uniforms in inputs.get("dropout", {}).items()
        }

    def dropout_sizes(self) -> dict[str, int]:
        """Sizes of the masks of dropout."""
        if not self.dropout:
            return {}
        return {
            "data": self.data_encoding_dim,
            "latent": self.latent_encoding_dim,
            "hidden": self.recurrence.output_dim,
        }

    def embed(self, latent: Tensor) -> Tensor:
        """Encodes z_t."""
        return self.latent_encoder.call([latent])

    def mask_latent(self, context: Nested, embedded: Tensor) -> Tensor:
        """The encoded latent with its mask of dropout, if there is one."""
        mask = context.get("latent_mask")
        return embedded if mask is None else embedded * mask

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
    def from_config(cls, config: dict) -> "RecurrentCell":
        """Rebuilds the cell with its parts."""
        config = dict(config)
        recurrent = config.pop("recurrent", None)
        if recurrent is not None:
            recurrent = keras.saving.deserialize_keras_object(recurrent)
        return cls(recurrent=recurrent, **config)


def over_time(mask: Tensor, like: Tensor) -> Tensor:
    """A mask `(batch, size)` repeated over the time axis of `like`."""
    return ops.broadcast_to(mask, (ops.shape(like)[0], *ops.shape(mask)))
