"""What the VRNN and the SRNN share: their networks and their settings."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.checks import check_count, check_hidden_units
from keras_fivo.heads import NormalHead
from keras_fivo.lookup import typed
from keras_fivo.networks import (
    Identity,
    Network,
    Recurrence,
    Sizes,
    get_recurrent_cell,
)
from keras_fivo.types import Nested, Tensor


def checked_rate(dropout: float) -> float:
    """Returns a rate of dropout, checked to lie in [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` must lie in [0, 1). Received: dropout={dropout!r}"
        )
    return float(dropout)


class RecurrentCell(LatentCell):
    """A cell with an RNN, two encoders, and heads on their outputs.

    A subclass says what the RNN and the heads read: it builds the RNN in
    `build_recurrence`, names the `features` that the transition and, before
    the encoded observation, the proposal read, `hidden` or `latent`, and
    gives `encode`, `past_features`, `recur`, the distributions and the states.

    Its arguments are those of `VRNNCell`.
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
        data_encoder: Any = None,
        latent_encoder: Any = None,
        transition: Any = None,
        learned_initial_state: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, emission, proposal, twist, **kwargs)
        self._set_sizes(
            units, hidden_units, data_encoding_dim, latent_encoding_dim
        )
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
        self.learned_initial_state = bool(learned_initial_state)
        encoders = {
            "data_encoder": data_encoder,
            "latent_encoder": latent_encoder,
        }
        given = {
            name: typed(part, Network, name, absent=(None, False))
            for name, part in encoders.items()
        } | {"transition": typed(transition, NormalHead, "transition")}
        # For the configuration: None, False, or whether it is there.
        self.given = {name: x and True for name, x in given.items()}
        self._create_networks(recurrent, given)

    def _set_sizes(
        self,
        units: int | None,
        hidden_units: Sequence[int] | None,
        data_encoding_dim: int | None,
        latent_encoding_dim: int | None,
    ) -> None:
        """Keeps the sizes of the networks: those left open are of the RNN."""
        units = self.latent_dim if units is None else units
        self.units = check_count("units", units)
        sizes = check_hidden_units(hidden_units)
        self.hidden_units = [self.units] if sizes is None else sizes
        self.data_encoding_dim = check_count(
            "data_encoding_dim", data_encoding_dim or self.units
        )
        self.latent_encoding_dim = check_count(
            "latent_encoding_dim", latent_encoding_dim or self.units
        )

    def _create_networks(self, recurrent: Any, given: dict) -> None:
        options = {"activation": self.activation, "dtype": self.dtype_policy}
        for name, size in (
            ("data_encoder", self.data_encoding_dim),
            ("latent_encoder", self.latent_encoding_dim),
        ):
            encoder = given[name]
            if encoder is None:
                units = [*self.hidden_units, size]
                encoder = Network(units, name=name, **options)
            setattr(self, name, encoder or Identity(name=name))
        self.transition = given["transition"] or NormalHead(
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

    features: Sequence[str] = ("hidden",)
    twist_features: Sequence[str] = ("hidden",)

    def build_recurrence(self) -> None:
        """Builds the RNN."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `build_recurrence`."
        )

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights of the networks."""
        self.control_dim = control_dim
        self.data_encoder.build([observation_dim])
        self.latent_encoder.build([self.latent_dim])
        self.data_encoding_dim = self.data_encoder.output_dim
        self.latent_encoding_dim = self.latent_encoder.output_dim
        self.build_recurrence()
        if self.learned_initial_state:
            self.initial_states = [
                self._initial_weight(f"initial_state_{i}", x.shape[-1])
                for i, x in enumerate(
                    keras.tree.flatten(self.recurrence.initial_state(1))
                )
            ]
        self.transition.build(
            self.sizes().context_dims, self.latent_dim, self.hidden_units
        )
        self.emission.build(
            [self.latent_encoding_dim, self.recurrence.output_dim],
            observation_dim,
            self.hidden_units,
        )

    def _initial_weight(self, name: str, size: int) -> Any:
        return self.add_weight(name=name, shape=(1, size), initializer="zeros")

    def initial_recurrent_state(self, rows: int) -> Nested:
        """Returns the RNN's state before the first step: zeros, or weights."""
        states = self.recurrence.initial_state(rows)
        if not self.learned_initial_state:
            return states
        flat = keras.tree.flatten(states)
        pairs = zip(flat, self.initial_states, strict=True)
        # (1, size) -> (rows, size)
        return keras.tree.pack_sequence_as(
            states, [zeros + ops.cast(x, zeros.dtype) for zeros, x in pairs]
        )

    def sizes(self) -> Sizes:
        """Returns what the proposal and the twist are built for."""
        dims = {
            "hidden": self.recurrence.output_dim,
            "latent": self.latent_encoding_dim,
        }
        return Sizes(
            features={name: dims[name] for name in self.features},
            latent_dim=self.latent_dim,
            embedded_dim=self.latent_encoding_dim,
            observation_dim=self.observation_dim,
            present_dim=self.data_encoding_dim,
            hidden_units=self.hidden_units,
            recurrent_dim=self.units,
            activation=self.activation,
            scale_options={
                name: getattr(self.transition, name)
                for name in ("min_scale", "scale_bias", "max_scale")
            }
            | {"scale_form": self.transition.scale_form},
            emission=self.emission,
        )

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
        # (batch, features) and (time, ...) -> (time + 1, batch, features)
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
        """Returns masks `(batch, size)` by name; empty outside training."""
        keep = 1.0 - self.dropout
        return {
            name: ops.cast(uniforms < keep, self.compute_dtype) / keep
            for name, uniforms in inputs.get("dropout", {}).items()
        }

    def dropout_sizes(self) -> dict[str, int]:
        """Returns sizes of the masks of dropout."""
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

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
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
                "learned_initial_state",
            )
        }
        serialize = keras.saving.serialize_keras_object
        for name, given in self.given.items():
            config[name] = given and serialize(getattr(self, name))
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
