"""How a Normal proposal moves along the gradient of its free energy."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_hidden_units, check_positive
from keras_fivo.lookup import BuiltByOwner, find
from keras_fivo.networks import HighwayNetwork
from keras_fivo.proposals.refinable import Refinable
from keras_fivo.types import Tensor

_SMALL = 1e-7  # that of the published code
_SOURCES = ("observation", "encoding")


class Update(BuiltByOwner, keras.layers.Layer):
    """One refinement of a Normal by the gradient of its free energy.

    A subclass creates its weights in `build`, and gives `step`.

    Args:
        normalize_mean: Whether each refined mean is layer-normalised.
        gradient_scale: Factor of all gradients. The code of the paper has
            one over the number of sequences of a batch.
    """

    reads: str | None = None
    """What it reads of the observation: `"observation"`, `"encoding"`."""

    def __init__(
        self,
        normalize_mean: bool = False,
        gradient_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "update", **kwargs})
        self.normalize_mean = bool(normalize_mean)
        self.gradient_scale = float(gradient_scale)

    def build(
        self,
        latent_dim: int,
        observation_dim: int = 0,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights, if there are any.

        Args:
            latent_dim: Size of the latent.
            observation_dim: Size of what it reads of the observation.
            hidden_units: Hidden sizes, where the constructor left them open.
        """

    def call(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None = None
    ) -> Refinable:
        """Refines a Normal once.

        Args:
            now: The Normal.
            gradient: Gradients of each row's free energy, in nats.
            seen: `(rows, size)`, where `reads` asks for it.
        """
        scale = self.gradient_scale
        if scale != 1.0:
            gradient = Refinable(
                gradient.mean * scale, gradient.log_variance * scale
            )
        new = self.step(now, gradient, seen)
        if not self.normalize_mean:
            return new
        return Refinable(layer_normalized(new.mean), new.log_variance)

    def step(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None
    ) -> Refinable:
        """Takes one step; see `call`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `step`."
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "normalize_mean": self.normalize_mean,
            "gradient_scale": self.gradient_scale,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_fivo")
class GradientUpdate(Update):
    """A plain step down the gradient, the baseline of those that learn.

    Args:
        rate: Size of the step, or with `learned` where that starts.
        learned: Whether two rates, of the mean and of the log-variance, are
            learned.
        normalize_mean: Whether each refined mean is layer-normalised.
        gradient_scale: Factor of all gradients.
    """

    def __init__(
        self,
        rate: float = 0.1,
        learned: bool = False,
        normalize_mean: bool = False,
        gradient_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize_mean, gradient_scale, **kwargs)
        self.rate = check_positive("rate", rate)
        self.learned = bool(learned)

    def build(
        self,
        latent_dim: int,
        observation_dim: int = 0,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the rates, if they are learned; see `Update.build`."""
        if self.learned:
            self.log_rates = self.add_weight(
                name="log_rates",
                shape=(2,),
                initializer=keras.initializers.Constant(np.log(self.rate)),
                autocast=False,
                dtype="float32",
            )

    def step(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None
    ) -> Refinable:
        """Steps down; see `Update.call`."""
        rates: Any = (self.rate, self.rate)
        if self.learned:
            rates = ops.unstack(ops.exp(self.log_rates), 2)
        return Refinable(
            now.mean - rates[0] * gradient.mean,
            now.log_variance - rates[1] * gradient.log_variance,
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"rate": self.rate, "learned": self.learned}
        return {**super().get_config(), **config}


class NetworkUpdate(Update):
    """A highway network that reads the Normal and its gradient.

    Its inputs are the gradients of mean and log-variance, mean and
    log-variance, and, where asked, the observation. Of each it gives an
    offset and a gate; a subclass says what they do.

    Args:
        hidden_units: Sizes of the layers; None: two of the cell's largest
            hidden size.
        activation: Activation of the layers.
        normalize_inputs: Whether each input but the observation is
            layer-normalised over the latent's entries. It takes their common
            size away, and of a single entry all: it then stays as it is.
        reads: What is read of the observation besides: `"observation"`
            itself, the cell's `"encoding"` of it, or None.
        gate_bias: Bias that the gates start from.
        normalize_mean: Whether each refined mean is layer-normalised.
        gradient_scale: Factor of all gradients.
    """

    head_initializer = "glorot_normal"
    """Of the last layer's kernel."""

    def __init__(
        self,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "elu",
        normalize_inputs: bool = True,
        reads: str | None = None,
        gate_bias: float = 0.0,
        normalize_mean: bool = False,
        gradient_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize_mean, gradient_scale, **kwargs)
        if reads is not None and reads not in _SOURCES:
            raise ValueError(
                f"`reads` must be one of {_SOURCES}, or None. "
                f"Received: reads={reads!r}"
            )
        self.hidden_units = check_hidden_units(hidden_units)
        self.activation = keras.activations.get(activation)
        self.normalize_inputs = bool(normalize_inputs)
        self.reads = reads
        self.gate_bias = float(gate_bias)

    def build(
        self,
        latent_dim: int,
        observation_dim: int = 0,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights; see `Update.build`."""
        units = self.hidden_units or [max([*hidden_units, 1])] * 2
        read = observation_dim if self.reads else 0
        self.network = HighwayNetwork(
            units, self.activation, name="network", dtype=self.dtype_policy
        )
        self.network.build(4 * latent_dim + read)
        self.head = keras.layers.Dense(
            4 * latent_dim,
            name="head",
            kernel_initializer=self.head_initializer,
            dtype=self.dtype_policy,
        )
        self.head.build((None, units[-1]))
        if self.gate_bias:
            half = np.zeros(2 * latent_dim)
            bias = np.concatenate([half, half + self.gate_bias])
            self.head.bias.assign(bias.astype("float32"))

    def step(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None
    ) -> Refinable:
        """Refines by the network; see `Update.call`."""
        outputs = self.network.call(self.read(now, gradient, seen))
        outputs = backend.linear(
            [(outputs, self.head.kernel, 0)], self.head.bias
        )
        outputs = ops.cast(outputs, "float32")
        # (rows, 4 * latent_dim) -> four (rows, latent_dim)
        *offsets, mean_gate, variance_gate = ops.split(outputs, 4, axis=-1)
        return Refinable(
            self.move(
                now.mean, gradient.mean, offsets[0], ops.sigmoid(mean_gate)
            ),
            self.move(
                now.log_variance,
                gradient.log_variance,
                offsets[1],
                ops.sigmoid(variance_gate),
            ),
        )

    def read(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None
    ) -> Tensor:
        """Returns the network's inputs, `(rows, 4 * latent_dim + size)`."""
        inputs = [
            gradient.mean,
            gradient.log_variance,
            now.mean,
            now.log_variance,
        ]
        if self.normalize_inputs and int(now.mean.shape[-1]) > 1:
            inputs = [layer_normalized(x) for x in inputs]
        if self.reads:
            inputs.append(ops.cast(seen, "float32"))
        return ops.concatenate(inputs, axis=-1)

    def move(
        self, value: Tensor, gradient: Tensor, offset: Tensor, gate: Tensor
    ) -> Tensor:
        """Returns the new mean, or the new log-variance."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `move`."
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
            "normalize_inputs": self.normalize_inputs,
            "reads": self.reads,
            "gate_bias": self.gate_bias,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_fivo")
class HighwayUpdate(NetworkUpdate):
    """`gate * value + (1 - gate) * offset`; see `NetworkUpdate`."""

    def move(
        self, value: Tensor, gradient: Tensor, offset: Tensor, gate: Tensor
    ) -> Tensor:
        """Keeps as much as the gate says."""
        return gate * value + (1.0 - gate) * offset


@keras.saving.register_keras_serializable(package="keras_fivo")
class LearnedSGDUpdate(NetworkUpdate):
    """`value - gate * gradient + offset`; see `NetworkUpdate`.

    Its last layer starts at zero, and so it starts as plain steps of the rate
    `sigmoid(gate_bias)`. Offsets of random weights would be proportional to
    the gradients that they read: with large gradients, each step would take q
    farther away than it was, and latents of later steps with it.
    """

    head_initializer = "zeros"

    def move(
        self, value: Tensor, gradient: Tensor, offset: Tensor, gate: Tensor
    ) -> Tensor:
        """Steps down as far as the gate says, and aside."""
        return value - gate * gradient + offset


def layer_normalized(x: Tensor) -> Tensor:
    """Centres rows, divided by their unbiased standard deviations."""
    size = int(x.shape[-1])
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    squares = ops.sum(ops.square(centred), axis=-1, keepdims=True)
    # Equal entries, as of a first step from zeros, have no deviation: they
    # give zeros, whose gradient would be 1e7 times that of the output.
    none = squares == 0
    safe = ops.where(none, ops.ones_like(squares), squares)
    deviation = ops.sqrt(safe / max(size - 1, 1))
    normalized = centred / (deviation + _SMALL)
    return ops.where(none, ops.zeros_like(normalized), normalized)


_UPDATES: dict[str, type[Update]] = {
    "highway": HighwayUpdate,
    "learned_sgd": LearnedSGDUpdate,
    "gradient": GradientUpdate,
}


def get_update(identifier: Any) -> Update:
    """Returns an update from an object or a name; see `find`."""
    return find(identifier, _UPDATES, Update, "update")
