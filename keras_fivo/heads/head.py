"""What every head offers."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.checks import check_count, check_hidden_units
from keras_fivo.distributions import Distribution
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks import Network, Projected
from keras_fivo.types import Shape, Tensor


class Head(BuiltByOwner, keras.layers.Layer):
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
        if event_dim is not None:
            event_dim = check_count("event_dim", event_dim)
        self.event_dim: Any = event_dim
        self.hidden_units = check_hidden_units(hidden_units)
        self.activation = keras.activations.get(activation)
        self.network: Any = None

    def build(
        self,
        input_dims: Sequence[int] | None,
        event_dim: Any = None,
        hidden_units: Sequence[int] = (),
    ) -> None:
        """Creates the weights.

        Args:
            input_dims: Sizes of the inputs, in their order; None: no network,
                as the owner has the outputs for `parametrize`.
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
        if input_dims is not None:
            if self.hidden_units is not None:
                hidden_units = self.hidden_units
            self.network = Network(
                [*hidden_units, self.output_dim],
                activation=self.activation,
                dtype=self.dtype_policy,
                name="network",
            )
            self.network.build(input_dims)
        self.build_weights()

    def build_weights(self) -> None:
        """Creates the weights beside the network's; `event_dim` is known."""

    def add_data_weight(self, name: str, initializer: str) -> Any:
        """Creates a weight `(event_dim,)` that `adapt` sets, not training."""
        return self.add_weight(
            name=name,
            shape=(self.event_dim,),
            initializer=initializer,
            trainable=False,
            autocast=False,
            dtype="float32",
        )

    @property
    def output_dim(self) -> int:
        """Size of the network's output."""
        return self.event_dim * self.outputs_per_entry

    @property
    def noise_shape(self) -> Shape:
        """Shape of the noise that one event is made of."""
        return self.distribution_class.noise_shape(self.event_dim)

    def project(self, inputs: Mapping[int, Tensor]) -> Projected:
        """Projects inputs that are known before a loop; see `Network`."""
        return self.network.project(inputs)

    def distribution(
        self, inputs: Sequence[Tensor | Projected]
    ) -> Distribution:
        """Returns the distribution given the features, in float32.

        Args:
            inputs: `(rows, size)` each, and last what `project` returned for
                some of them, if anything; see `Network.call`.
        """
        outputs = self.network.call(inputs)
        return self.parametrize(ops.cast(outputs, "float32"))

    def parametrize(self, outputs: Tensor) -> Distribution:
        """Turns outputs `(rows, output_dim)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `parametrize`."
        )

    def adapt(self, mean: Any, deviation: Any = None) -> None:
        """Sets what the head takes from the data, if anything.

        Args:
            mean: NumPy `(event_dim,)`, mean of the observed entries.
            deviation: Their standard deviation; None: not to be taken.
        """

    def input_scale(self, deviation: Any) -> Any:
        """Returns what networks that read observations divide them by.

        Args:
            deviation: NumPy `(event_dim,)`, standard deviation of the
                observed entries.
        """
        return deviation

    def check(self, observations: Any) -> None:
        """Raises an error for observations outside the support.

        Args:
            observations: NumPy array of observed values, in any shape.
        """

    def check_observed(self, observations: Any, observed: Any) -> None:
        """Checks what is observed, as `check`.

        Args:
            observations: NumPy `(..., event_dim)`.
            observed: Bool, of the same shape.
        """
        self.check(observations[observed])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "event_dim": self.event_dim,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}
