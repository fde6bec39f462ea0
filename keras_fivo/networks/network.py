"""A multilayer perceptron, part of whose input can be projected before."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_units
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks.sizes import check_entries
from keras_fivo.types import Tensor

Projected = dict[tuple[int, ...], Tensor]
"""What the first layer takes of some inputs, by the places of these."""


@keras.saving.register_keras_serializable(package="keras_fivo")
class Network(BuiltByOwner, keras.layers.Layer):
    """Dense layers over the concatenation of several inputs.

    The product of the first kernel with inputs that are known before a loop
    can be formed for all time steps at once by `project`. What that returns
    is passed to the call in the place of those inputs.

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
        self.units = check_units(units)
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

    @property
    def output_dim(self) -> int:
        """Size of the output."""
        return self.units[-1]

    def project(self, inputs: Mapping[int, Tensor]) -> Projected:
        """Multiplies some of the inputs with the first kernel; adds its bias.

        Args:
            inputs: `(..., size)` each, by their place among the network's
                inputs; negative places count from the end.

        Returns:
            The product, `(..., units[0])`, by the places that it covers: a
            nested tensor, of which a scan takes one step.
        """
        count = len(self.input_dims)
        found = {place % count: x for place, x in inputs.items()}
        places = tuple(sorted(found))
        return {places: self._first(found, self.dense[0].bias)}

    def call(self, inputs: Sequence[Tensor | Projected]) -> Tensor:
        """Returns the output `(..., units[-1])`, in the compute dtype.

        Args:
            inputs: `(..., size)` each, in their order, and last what
                `project` returned, if anything; inputs that it covers are
                skipped, and may be left off the end.

        Raises:
            ValueError: If an input is missing.
        """
        given = dict(enumerate(inputs))
        projected = given.pop(len(inputs) - 1) if _is_projected(inputs) else {}
        covered = {place for places in projected for place in places}
        rest = {i: x for i, x in given.items() if i not in covered}
        if covered | set(rest) != set(range(len(self.input_dims))):
            raise ValueError(
                f"The network {self.name!r} reads {len(self.input_dims)} "
                f"inputs. Received: inputs {sorted(rest)} and projected "
                f"inputs {sorted(covered)}"
            )
        hidden = None if projected else self._first(rest, self.dense[0].bias)
        for product in projected.values():
            hidden = self._first(rest) + product if rest else product
        if len(self.dense) > 1 or self.activate_output:
            hidden = self.activation(hidden)
        for i, layer in enumerate(self.dense[1:], start=1):
            hidden = backend.linear([(hidden, layer.kernel, 0)], layer.bias)
            if i < len(self.dense) - 1 or self.activate_output:
                hidden = self.activation(hidden)
        return hidden

    def _first(self, inputs: Mapping[int, Tensor], bias: Any = None) -> Tensor:
        """Returns the product of inputs with their rows of the first kernel."""
        starts = [*itertools.accumulate(self.input_dims, initial=0)]
        kernel = self.dense[0].kernel
        parts = [
            (ops.cast(inputs[place], self.compute_dtype), kernel, starts[place])
            for place in sorted(inputs)
        ]
        return backend.linear(parts, bias)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "activate_output": self.activate_output,
        }
        return {**super().get_config(), **config}


def _is_projected(inputs: Sequence[Tensor | Projected]) -> bool:
    return isinstance(inputs[-1], dict)


class Identity(BuiltByOwner, keras.layers.Layer):
    """Stands where a network could, and gives its one input as it is."""

    def build(self, input_dims: Sequence[int]) -> None:
        """Takes the size of the input."""
        (self.output_dim,) = (int(size) for size in input_dims)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Returns the input, `(..., size)`, in the compute dtype."""
        return ops.cast(inputs[0], self.compute_dtype)
