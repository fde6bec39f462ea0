"""A network whose layers may let their inputs pass."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_units
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks.sizes import check_entries
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class HighwayNetwork(BuiltByOwner, keras.layers.Layer):
    """Layers of `g * x + (1 - g) * activation(W x + b)`, with a gate g.

    The gate is a sigmoid of a linear layer of its own. Where the size
    changes, x is taken through a linear layer first.

    Args:
        units: Sizes of the layers.
        activation: Activation of all layers.

    Reference:
        Srivastava et al., 2015, "Highway Networks".
    """

    def __init__(
        self, units: Sequence[int], activation: Any = "elu", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_units(units)
        self.activation = keras.activations.get(activation)

    def build(self, input_dim: int) -> None:
        """Creates the weights for an input of this size."""
        self.dense, self.gates, self.linear = [], [], []
        fan_in = int(input_dim)
        for i, size in enumerate(self.units):
            check_entries(f"The network {self.name!r}", fan_in, size)
            self.dense.append(self._layer(f"dense_{i}", fan_in, size))
            self.gates.append(self._layer(f"gate_{i}", fan_in, size))
            changes = i == 0 or size != fan_in
            self.linear.append(
                self._layer(f"linear_{i}", fan_in, size) if changes else None
            )
            fan_in = size

    def _layer(self, name: str, fan_in: int, size: int) -> keras.layers.Dense:
        layer = keras.layers.Dense(
            size,
            name=name,
            kernel_initializer="glorot_normal",
            dtype=self.dtype_policy,
        )
        layer.build((None, fan_in))
        return layer

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the output `(..., units[-1])` for `(..., input_dim)`."""
        x = ops.cast(inputs, self.compute_dtype)
        layers = zip(self.dense, self.gates, self.linear, strict=True)
        for dense, gate, linear in layers:
            open_to = ops.sigmoid(_product(gate, x))
            changed = self.activation(_product(dense, x))
            passed = x if linear is None else _product(linear, x)
            x = open_to * passed + (1.0 - open_to) * changed
        return x

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}


def _product(layer: keras.layers.Dense, x: Tensor) -> Tensor:
    return backend.linear([(x, layer.kernel, 0)], layer.bias)
