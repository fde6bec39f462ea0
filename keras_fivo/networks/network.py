"""A multilayer perceptron, part of whose input can be read ahead."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.networks.sizes import check_entries
from keras_fivo.types import Tensor

_MAX_LAYERS = 100


@keras.saving.register_keras_serializable(package="keras_fivo")
class Network(keras.layers.Layer):
    """Dense layers over the concatenation of several inputs.

    The product of the first kernel with inputs that are known before the
    loop can be formed for all time steps at once by `read_ahead`, and passed
    to the call in the place of those inputs.

    Args:
        units: Sizes of the layers, the output last.
        activation: Activation of all layers but the last.
        activate_output: Whether the last layer has the activation too.
    """

    def __init__(
        self,
        units: Sequence[int],
        activation: Any = "relu",
        activate_output: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(int(size) < 1 for size in units):
            raise ValueError(
                "`units` must be one or more positive sizes. "
                f"Received: units={units!r}"
            )
        if len(units) > _MAX_LAYERS:
            raise ValueError(
                f"`units` must be the sizes of at most {_MAX_LAYERS} layers. "
                f"Received: units of length {len(units)}"
            )
        self.units = [int(size) for size in units]
        self.activation = keras.activations.get(activation)
        self.activate_output = activate_output
        self.dense = [
            keras.layers.Dense(size, name=f"dense_{i}", dtype=self.dtype_policy)
            for i, size in enumerate(self.units)
        ]

    def build(self, input_dims: Sequence[int]) -> None:
        """Creates the weights for inputs of these sizes."""
        self.input_dims = [int(size) for size in input_dims]
        fan_in = sum(self.input_dims)
        for layer in self.dense:
            check_entries(f"The network {self.name!r}", fan_in, layer.units)
            if not layer.built:
                layer.build((None, fan_in))
            fan_in = layer.units

    def get_build_config(self) -> None:
        """The owner builds its networks."""
        return None

    def read_ahead(self, inputs: Tensor | Sequence[Tensor | None]) -> Tensor:
        """Product of the first kernel with some of the inputs, and its bias.

        Args:
            inputs: `(..., size)`, the last of the network's inputs; or a
                list of them all, with None for those that only the call has.

        Returns:
            `(..., units[0])`, to pass to the call as `ahead`.
        """
        if not isinstance(inputs, (list, tuple)):
            inputs = [*[None] * (len(self.input_dims) - 1), inputs]
        return self._first(inputs, self.dense[0].bias)

    def call(
        self,
        inputs: Sequence[Tensor | None],
        ahead: Tensor | None = None,
    ) -> Tensor:
        """Output `(..., units[-1])`, in the compute dtype.

        Args:
            inputs: `(..., size)` each. Those that were read ahead are None,
                or left off the end.
            ahead: As from `read_ahead`, for the others.
        """
        if ahead is None:
            hidden = self._first(inputs, self.dense[0].bias)
        else:
            hidden = self._first(inputs) + ahead
        if len(self.dense) > 1 or self.activate_output:
            hidden = self.activation(hidden)
        for i, layer in enumerate(self.dense[1:], start=1):
            hidden = backend.linear([(hidden, layer.kernel, 0)], layer.bias)
            if i < len(self.dense) - 1 or self.activate_output:
                hidden = self.activation(hidden)
        return hidden

    def _first(
        self, inputs: Sequence[Tensor | None], bias: Any = None
    ) -> Tensor:
        """Product of the inputs that are there with their rows."""
        starts = itertools.accumulate(self.input_dims, initial=0)
        kernel = self.dense[0].kernel
        parts = [
            (ops.cast(part, self.compute_dtype), kernel, start)
            for part, start in zip(inputs, starts, strict=False)
            if part is not None
        ]
        return backend.linear(parts, bias)

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "activate_output": self.activate_output,
        }
        return {**super().get_config(), **config}
