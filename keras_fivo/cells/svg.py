"""Stochastic video generation with a learned prior."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.axes import last_active
from keras_fivo.cells.latent_cell import LatentCell
from keras_fivo.checks import check_count
from keras_fivo.distributions import Distribution
from keras_fivo.heads import NormalHead
from keras_fivo.lookup import typed
from keras_fivo.networks import (
    VGG,
    FrameDecoder,
    FrameEncoder,
    Network,
    Recurrence,
    Sizes,
    check_normalization,
)
from keras_fivo.types import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class SVGCell(LatentCell):
    """A model of video: stochastic video generation with a learned prior.

    Observations are frames `(batch, time, height, width, channels)`. A
    convolutional network encodes the previous frame; an LSTM over these
    encodings gives the transition p(z_t | x_<t). LSTMs that read the encoded
    x_{t-1} and z_t, and a convolutional decoder, give the emission
    p(x_t | z_<=t, x_<t). All frames are encoded, and the transitions formed,
    before the loop. A missing frame is encoded as the centre, which every
    position has in common by channel; the first frame is a term of the bound
    like all others, and its predecessor the centre.

    With `proposal="filtering"` q is a network over the transition's LSTM and
    the encoded x_t; with `posterior_units` over an LSTM of the encodings up to
    x_t, as in the paper. `"iterative"` refines the transition by gradients
    through the decoder.

    Args:
        latent_dim: Size of z.
        units: Size of the LSTMs.
        emission: A head of independent entries, or its name: the outputs of
            the decoder at a position are what it makes a distribution of.
        proposal: A proposal, or `"filtering"`, `"smoothing"`,
            `"transition"`, `"iterative"`.
        blocks: Numbers of filters of the encoder's convolutions by block;
            each halves the frame. The decoder mirrors them.
        encoding_dim: Size of an encoded frame, and of what the decoder reads.
        num_layers: Number of LSTMs of the decoder, one on the other.
        posterior_units: Size of an LSTM over encoded frames, whose output the
            proposal reads in the place of the encoded x_t; None: none.
        skip_connections: Whether the decoder also reads what the encoder's
            blocks gave for the previous frame, so that what does not move can
            be copied.
        normalization: Normalization after each convolution: `"group"`,
            `"layer"`, None, or a Keras layer that does not mix rows.
        transition: A `NormalHead` in the place of the default one, a linear
            layer on the LSTM.

    Example:
    ```python
    cell = kf.SVGCell(8, units=32, blocks=[[16], [32]], encoding_dim=32)
    model = kf.LatentSequenceModel(cell, bound=kf.ELBO())
    model.build((None, None, 16, 16, 1))
    frames = model.sample(10, num_samples=2)  # (2, 10, 16, 16, 1)
    ```

    Reference:
        Denton and Fergus, 2018, "Stochastic Video Generation with a Learned
        Prior"; Marino et al., 2018, "A General Method for Amortizing
        Variational Filtering".
    """

    observation_rank = 3
    features: Sequence[str] = ("hidden",)

    def __init__(
        self,
        latent_dim: int,
        units: int = 256,
        emission: Any = "normal",
        proposal: Any = "filtering",
        blocks: Sequence[Sequence[int]] = VGG,
        encoding_dim: int = 128,
        num_layers: int = 2,
        posterior_units: int | None = None,
        skip_connections: bool = False,
        normalization: Any = "group",
        transition: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, emission, proposal, **kwargs)
        if self.twist is not None:
            raise ValueError(
                "SVGCell takes no twist: what a twist reads of a latent is "
                f"inside its LSTMs. Received: twist={self.twist!r}"
            )
        self.units = check_count("units", units)
        self.blocks = _checked_blocks(blocks)
        self.encoding_dim = check_count("encoding_dim", encoding_dim)
        self.num_layers = check_count("num_layers", num_layers)
        self.posterior_units = posterior_units and check_count(
            "posterior_units", posterior_units
        )
        self.skip_connections = bool(skip_connections)
        if isinstance(normalization, dict):
            normalization = keras.saving.deserialize_keras_object(normalization)
        self.normalization = check_normalization(normalization)
        given = typed(transition, NormalHead, "transition")
        self.given_transition = given is not None
        self.transition = given or NormalHead(
            self.latent_dim,
            [],
            adaptive=False,
            name="transition",
            dtype=self.dtype_policy,
        )

    def build_parts(self, observation_dim: int, control_dim: int) -> None:
        """Creates the weights of the networks."""
        options = {"dtype": self.dtype_policy}
        self.encoder = FrameEncoder(
            self.blocks,
            self.encoding_dim,
            self.normalization,
            name="encoder",
            **options,
        )
        self.encoder.build(self.observation_shape)
        self.prior = self._recurrence("prior", self.units)
        self.prior.build(self.encoding_dim, 0, control_dim)
        self.posterior = None
        if self.posterior_units:
            self.posterior = self._recurrence("posterior", self.posterior_units)
            self.posterior.build(self.encoding_dim)
        self.transition.build([self.units], self.latent_dim, [])
        self.recurrences = []
        for i in range(self.num_layers):
            layer = self._recurrence(f"recurrence_{i}", self.units)
            sizes = (self.units, 0, 0)
            if i == 0:
                sizes = (self.encoding_dim, self.latent_dim, control_dim)
            layer.build(*sizes)
            self.recurrences.append(layer)
        self.output_network = Network(
            [self.encoding_dim],
            activation="tanh",
            activate_output=True,
            name="output_network",
            **options,
        )
        self.output_network.build([self.units])
        self.emission.build(None, observation_dim)
        self.decoder = FrameDecoder(
            self.encoder,
            self.emission.output_dim,
            self.skip_connections,
            self.normalization,
            name="decoder",
            **options,
        )
        self.decoder.build(self.encoding_dim)

    def _recurrence(self, name: str, units: int) -> Recurrence:
        cell = keras.layers.LSTMCell(
            units, name="lstm_cell", dtype=self.dtype_policy
        )
        return Recurrence(cell, name=name, dtype=self.dtype_policy)

    def sizes(self) -> Sizes:
        """Returns what the proposal is built for."""
        head = self.transition
        names = ("min_scale", "scale_bias", "max_scale", "scale_form")
        return Sizes(
            features={"hidden": self.units},
            known=("hidden",),
            latent_dim=self.latent_dim,
            embedded_dim=self.latent_dim,
            observation_dim=self.observation_dim,
            present_dim=self.posterior_units or self.encoding_dim,
            hidden_units=[self.units],
            recurrent_dim=self.units,
            scale_options={name: getattr(head, name) for name in names},
            emission=self.emission,
        )

    def encode(
        self, inputs: dict, observed_state: dict
    ) -> tuple[dict, Nested, dict]:
        """Encodes the frames, and runs the LSTMs that read them alone."""
        active, controls = inputs["active"], inputs.get("controls")
        centred = self.standardize(inputs["observations"])
        # (batch, ...) and (time, batch, ...) -> (time + 1, batch, ...)
        first = ops.expand_dims(observed_state["previous"], 0)
        frames = ops.concatenate([first, centred], axis=0)
        encoded, skips = self._encoded(frames)
        before, present = encoded[:-1], encoded[1:]
        hidden, prior = self.prior.run_from(
            observed_state["prior"], before, active, controls=controls
        )
        after = {"previous": last_active(frames, active), "prior": prior}
        if self.posterior is not None:
            present, after["posterior"] = self.posterior.run_from(
                observed_state["posterior"], present, active
            )
        skips = [skip[:-1] for skip in skips]
        return self._past(before, hidden, skips, controls), present, after

    def past_features(
        self, observed_state: dict, controls: Tensor | None = None
    ) -> dict:
        """Returns `past` of the next step: the transition's LSTM advances."""
        frames = ops.expand_dims(observed_state["previous"], 0)
        encoded, skips = self._encoded(frames)
        before, skips = encoded[0], [skip[0] for skip in skips]
        hidden, _ = self.prior.call(
            self.prior.project(before, controls), None, observed_state["prior"]
        )
        return self._past(before, hidden, skips, controls)

    def _encoded(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encodes `(time, batch, ...)`; without skip connections none."""
        shape = ops.shape(frames)
        rows = ops.reshape(frames, (-1, *self.observation_shape))
        encoded, skips = self.encoder.call(rows)
        if not self.skip_connections:
            skips = []
        encoded, *skips = (
            ops.reshape(x, (shape[0], -1, *x.shape[1:]))
            for x in (encoded, *skips)
        )
        return encoded, skips

    def _past(
        self,
        before: Tensor,
        hidden: Tensor,
        skips: list[Tensor],
        controls: Tensor | None,
    ) -> dict:
        return {
            "hidden": hidden,
            "transition": self.transition.project({0: hidden}),
            "recurrence": self.recurrences[0].project(before, controls),
            "skips": skips,
        }

    def recur(self, states: Nested, past: dict) -> Nested:
        """Returns what the step knows of the past, and the LSTMs' states."""
        return {**past, "states": states}

    def transition_distribution(self, context: Nested) -> Distribution:
        """Returns p(z_t | x_<t)."""
        return self.transition.distribution(
            [context["hidden"], context["transition"]]
        )

    def embed_in(self, context: Nested, latent: Tensor) -> Nested:
        """Advances the decoder's LSTMs by z_t."""
        outputs, projected, states = latent, context["recurrence"], []
        for i, layer in enumerate(self.recurrences):
            if i:
                projected, latent = layer.project(outputs), None
            outputs, state = layer.call(projected, latent, context["states"][i])
            states.append(state)
        return {
            "outputs": self.output_network.call([outputs]),
            "states": states,
        }

    def emission_context(self, context: Nested) -> Nested:
        """Returns what the encoder gave for the previous frame."""
        return {"skips": context["skips"]}

    def emission_distribution(
        self, context: Nested, embedded: Nested
    ) -> Distribution:
        """Returns p(x_t | z_<=t, x_<t)."""
        outputs = self.decoder.call(embedded["outputs"], context["skips"])
        return self.emission.parametrize(ops.cast(outputs, "float32"))

    def next_states(self, context: Nested, embedded: Nested) -> Nested:
        """Returns the states of the decoder's LSTMs."""
        return embedded["states"]

    def get_initial_state(self, rows: int) -> Nested:
        """Returns zeros."""
        return [layer.initial_state(rows) for layer in self.recurrences]

    def initial_observed_state(self, batch: int) -> dict:
        """Returns the centred previous frame and the LSTMs' states: zeros."""
        state = {
            "previous": ops.zeros((batch, *self.observation_shape)),
            "prior": self.prior.initial_state(batch),
        }
        if self.posterior is not None:
            state["posterior"] = self.posterior.initial_state(batch)
        return state

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            name: getattr(self, name)
            for name in (
                "units",
                "blocks",
                "encoding_dim",
                "num_layers",
                "posterior_units",
                "skip_connections",
                "normalization",
            )
        }
        serialize = keras.saving.serialize_keras_object
        if isinstance(self.normalization, keras.layers.Layer):
            config["normalization"] = serialize(self.normalization)
        config["transition"] = (
            serialize(self.transition) if self.given_transition else None
        )
        return {**super().get_config(), **config}


def _checked_blocks(blocks: Any) -> list[list[int]]:
    """Filters by block.

    Raises:
        ValueError: If they are no lists of positive numbers.
    """
    try:
        found = [[int(number) for number in block] for block in blocks]
    except TypeError:
        found = []
    if not found or not all(block and min(block) > 0 for block in found):
        raise ValueError(
            "`blocks` must be one or more lists of numbers of filters, as "
            f"[[32], [64, 64]]. Received: blocks={blocks!r}"
        )
    return found
