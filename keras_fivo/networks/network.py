"""A multilayer perceptron, part of whose input can be read ahead."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.types import Tensor


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
            if not layer.built:
                layer.build((None, fan_in))
            fan_in = layer.units

    def get_build_config(self) -> None:
        """The owner builds its networks."""
        return None

    def read_ahead(self, inputs: Tensor) -> Tensor:
        """Product of the trailing rows of the first kernel, with the bias.

        Args:
            inputs: `(..., size)`, the last of the network's inputs.

        Returns:
            `(..., units[0])`, to pass to the call as `ahead`.
        """
        layer = self.dense[0]
        inputs = ops.cast(inputs, self.compute_dtype)
        start = sum(self.input_dims) - int(inputs.shape[-1])
        kernel = ops.cast(layer.kernel[start:], self.compute_dtype)
        bias = ops.cast(layer.bias, self.compute_dtype)
        return ops.matmul(inputs, kernel) + bias

    def call(
        self, inputs: Sequence[Tensor], ahead: Tensor | None = None
    ) -> Tensor:
        """Output `(..., units[-1])`, in the compute dtype."""
        dtype = self.compute_dtype
        parts = [ops.cast(x, dtype) for x in inputs]
        hidden = parts[0] if len(parts) == 1 else ops.concatenate(parts, -1)
        for i, layer in enumerate(self.dense):
            kernel, offset = layer.kernel, layer.bias
            if i == 0 and ahead is not None:
                kernel = kernel[: int(hidden.shape[-1])]
                offset = ahead
            kernel, offset = ops.cast(kernel, dtype), ops.cast(offset, dtype)
            hidden = ops.matmul(hidden, kernel) + offset
            if i < len(self.dense) - 1 or self.activate_output:
                hidden = self.activation(hidden)
        return hidden

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "activate_output": self.activate_output,
        }
        return {**super().get_config(), **config}
