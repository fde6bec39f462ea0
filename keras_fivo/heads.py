"""Networks from features to a distribution."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.distributions import Bernoulli, Distribution, Normal
from keras_fivo.lookup import find
from keras_fivo.networks import Network
from keras_fivo.types import Tensor


class Head(keras.layers.Layer):
    """A network whose outputs are the parameters of a distribution.

    A subclass says how many outputs each entry of an event takes
    (`outputs_per_entry`), which distribution it gives
    (`distribution_class`), and turns outputs into it (`parametrize`).

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    outputs_per_entry = 1
    distribution_class: type[Distribution] = Distribution

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "emission", **kwargs})
        if event_dim is not None and int(event_dim) < 1:
            raise ValueError(
                "`event_dim` must be a positive size. "
                f"Received: event_dim={event_dim!r}"
            )
        self.event_dim = None if event_dim is None else int(event_dim)
        self.hidden_units = (
            None if hidden_units is None else [int(x) for x in hidden_units]
        )
        self.activation = keras.activations.get(activation)
        self.network: Network | None = None

    def build(
        self,
        input_dims: Sequence[int],
        event_dim: int | None = None,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights.

        Args:
            input_dims: Sizes of the inputs, in their order.
            event_dim: Size of an event, where the constructor left it open.
            hidden_units: Hidden sizes, where the constructor left them open.
        """
        if self.event_dim is None:
            self.event_dim = int(event_dim)
        elif event_dim is not None and int(event_dim) != self.event_dim:
            raise ValueError(
                f"{type(self).__name__} was made for events of size "
                f"{self.event_dim}. Received: data with {event_dim} "
                "features. Pass the head that size, or leave it out."
            )
        if self.hidden_units is not None:
            hidden_units = self.hidden_units
        self.network = Network(
            [*hidden_units, self.event_dim * self.outputs_per_entry],
            activation=self.activation,
            dtype=self.dtype_policy,
            name="network",
        )
        self.network.build(input_dims)

    def get_build_config(self) -> None:
        """The owner builds its heads."""
        return None

    def read_ahead(self, inputs: Tensor) -> Tensor:
        """See `Network.read_ahead`."""
        return self.network.read_ahead(inputs)

    def distribution(
        self, inputs: Sequence[Tensor], ahead: Tensor | None = None
    ) -> Distribution:
        """The distribution given the features, in float32.

        Args:
            inputs: Tensors `(rows, size)`.
            ahead: The last of the inputs, as from `read_ahead`.
        """
        outputs = self.network.call(inputs, ahead)
        return self.parametrize(ops.cast(outputs, "float32"))

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Turns outputs `(rows, event_dim * outputs_per_entry)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `parametrize`."
        )

    def adapt(self, mean: Any) -> None:
        """Sets what the head takes from the mean of the data, if anything.

        Args:
            mean: NumPy `(event_dim,)`, mean of the observed entries.
        """

    def check(self, observations: Any) -> None:
        """Raises an error for observations outside the support.

        Args:
            observations: NumPy array of observed values, in any shape.
        """

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            "event_dim": self.event_dim,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_fivo")
class NormalHead(Head):
    """A diagonal Normal: `scale = max(softplus(raw + scale_bias), min_scale)`.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
        min_scale: Smallest standard deviation. 0 lets an emission collapse
            on its data.
        scale_bias: Added to the raw standard deviation before the softplus.
    """

    outputs_per_entry = 2
    distribution_class = Normal

    def __init__(
        self,
        event_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        activation: Any = "relu",
        min_scale: float = 1e-3,
        scale_bias: float = 0.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_dim, hidden_units, activation, **kwargs)
        if min_scale < 0:
            raise ValueError(
                "`min_scale` must not be negative. "
                f"Received: min_scale={min_scale!r}"
            )
        self.min_scale = float(min_scale)
        self.scale_bias = float(scale_bias)

    def parametrize(self, outputs: Tensor) -> Normal:
        """First half the means, second half the raw scales."""
        loc, raw = ops.split(outputs, 2, axis=-1)
        scale = ops.softplus(raw + self.scale_bias)
        if self.min_scale > 0:
            scale = ops.maximum(scale, self.min_scale)
        return Normal(loc, scale)

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {"min_scale": self.min_scale, "scale_bias": self.scale_bias}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_fivo")
class BernoulliHead(Head):
    """Independent Bernoulli entries, given by their logits.

    `initial_bias` is a weight that is not trained, `(event_dim,)`, added to
    the logits: `adapt` puts the log odds of the data there, so training
    starts from independent entries with the right means.

    Args:
        event_dim: Size of one event; None: set by the owner from the data.
        hidden_units: Sizes of the hidden layers; None: the owner's default.
        activation: Activation of the hidden layers.
    """

    distribution_class = Bernoulli

    def build(
        self,
        input_dims: Sequence[int],
        event_dim: int | None = None,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights; see `Head.build`."""
        super().build(input_dims, event_dim, hidden_units)
        self.initial_bias = self.add_weight(
            name="initial_bias",
            shape=(self.event_dim,),
            initializer="zeros",
            trainable=False,
            autocast=False,
            dtype="float32",
        )

    def parametrize(self, outputs: Tensor) -> Bernoulli:
        """Adds the initial bias to the outputs."""
        return Bernoulli(logits=outputs + self.initial_bias)

    def adapt(self, mean: Any) -> None:
        """Sets the bias to the logit of the mean, clipped to [1e-4, 1-1e-4]."""
        mean = mean.clip(1e-4, 1 - 1e-4)
        logits = keras.ops.log(mean) - keras.ops.log1p(-mean)
        self.initial_bias.assign(logits)

    def check(self, observations: Any) -> None:
        """Raises an error for values outside [0, 1]."""
        if observations.size and (
            observations.min() < 0 or observations.max() > 1
        ):
            raise ValueError(
                "Bernoulli observations must lie in [0, 1]. Received: "
                f"observations between {observations.min()} and "
                f"{observations.max()}. Scale or threshold them, or use "
                "another emission."
            )


_HEADS: dict[str, type[Head]] = {
    "bernoulli": BernoulliHead,
    "normal": NormalHead,
}


def get_head(identifier: Any) -> Head:
    """A head from an object or a name; see `find`."""
    return find(identifier, _HEADS, Head, "emission")
