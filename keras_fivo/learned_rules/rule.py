"""The rule: a small network that trains a perceptron without labels."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_fivo.checks import check_count, check_positive, check_units
from keras_fivo.learned_rules.base import (
    BaseWeights,
    over_rms,
    run_base,
    standardize,
)
from keras_fivo.learned_rules.blocks import (
    BATCH,
    UNITS,
    Convolution,
    HiddenBlock,
)
from keras_fivo.learned_rules.terms import KernelChange
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.types import Tensor


class Change(NamedTuple):
    """What a rule makes of a batch, by layer, the inputs first.

    Attributes:
        hidden: Hidden states of the inputs and of each layer, `(..., units,
            batch, hidden_dim)`.
        deltas: Error signals that reached them, `(..., units, batch,
            delta_dim)`.
        base: Changes of the base model's weights: what a gradient would be.
    """

    hidden: list
    deltas: list
    base: BaseWeights


@keras.saving.register_keras_serializable(package="keras_fivo")
class LocalUpdateRule(BuiltByOwner, keras.layers.Layer):
    """Trains a base model without labels, by what each unit knows.

    The same small network sits in every unit of every layer. It reads the
    unit's activations in a batch, an error signal from above and statistics
    of the unit's weights, and gives a hidden state; the change of a weight
    depends on the weight and on the hidden states of the two units that it
    joins. Base models may have any width and depth. The order of a batch
    matters: the network sees the neighbours of an example in it.

    The defaults are the published rule. Few channels make a slim one:
    `LocalUpdateRule(top_units=(16,), units=(16,), delta_dim=8,
    embedding_dim=None)`.

    Args:
        units: Number of channels of each block of the hidden states.
        top_units: Number of channels of each convolution that turns
            embeddings into error signals.
        delta_dim: Number of channels of error signals.
        rank: Number of channels of the readouts of hidden states.
        embedding_dim: Width of the embedding of every base model, whose units
            the rule then mixes, as published; None: any width, unmixed.
        identical_updates: Whether the backward matrices get the changes of
            the kernels, rather than changes from readouts of their own.
        learning_rate: Size of an update of the base model.

    Example:
    ```python
    rule = kf.LocalUpdateRule(embedding_dim=None)
    base = kf.initial_base(input_dim=196, units=(128, 64), seed=0)
    base = rule.step(base, images)  # images: (batch, 196)
    ```

    Reference:
        Metz et al., 2018, "Learning Unsupervised Learning Rules".
    """

    def __init__(
        self,
        units: Sequence[int] = (64, 64),
        top_units: Sequence[int] = (64, 64, 64),
        delta_dim: int = 32,
        rank: int = 4,
        embedding_dim: int | None = 32,
        identical_updates: bool = True,
        learning_rate: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.units = check_units(units)
        self.top_units = check_units(top_units, "top_units")
        self.delta_dim = check_count("delta_dim", delta_dim)
        self.rank = check_count("rank", rank)
        if embedding_dim is not None:
            embedding_dim = check_count("embedding_dim", embedding_dim)
        self.embedding_dim: Any = embedding_dim
        self.identical_updates = bool(identical_updates)
        self.learning_rate = check_positive("learning_rate", learning_rate)
        self._make_layers()
        self.build()

    def _make_layers(self) -> None:
        self.top = [
            Convolution(size, width=3 if i else 5, name=f"top_{i}")
            for i, size in enumerate(self.top_units)
        ]
        self.mixing = [
            Convolution(self.embedding_dim, name=f"mixing_{i}")
            for i in range(2 if self.embedding_dim else 0)
        ]
        self.top_delta = Convolution(
            self.delta_dim, activate=False, name="top_delta"
        )
        self.blocks = [
            HiddenBlock(size, name=f"block_{i}")
            for i, size in enumerate(self.units)
        ]
        self.to_delta = keras.layers.Dense(self.delta_dim, name="to_delta")
        self.to_bias = keras.layers.Dense(1, name="to_bias")
        self.kernel_change = KernelChange(self.rank, name="kernel_change")
        if not self.identical_updates:
            self.backward_change = KernelChange(
                self.rank, name="backward_change"
            )

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights, which depend on no input."""
        if self.built:
            return
        for layer, size in zip(self.top, [1, *self.top_units], strict=False):
            layer.build(size)
        for layer in self.mixing:
            layer.build(self.embedding_dim)
        self.top_delta.build(self.top_units[-1])
        features = 4 + self.delta_dim
        self.offset = self.add_weight(
            shape=(features,), initializer="zeros", name="offset"
        )
        sizes = [features + 9, *self.units]
        for block, size in zip(self.blocks, sizes, strict=False):
            block.build(size)
        self.to_delta.build((None, self.units[-1]))
        self.to_bias.build((None, self.units[-1]))
        self.kernel_change.build(self.units[-1])
        if not self.identical_updates:
            self.backward_change.build(self.units[-1])

    def step(
        self,
        base: BaseWeights,
        inputs: Tensor,
        activation: Callable = ops.relu,
    ) -> BaseWeights:
        """Returns the base model after an update by a batch; changes nothing.

        Args:
            base: Weights of the base model, or of several, with equal
                leading axes.
            inputs: `(..., batch, inputs)`.
            activation: Activation of the base model.
        """
        changes = self.changes(base, inputs, activation).base
        rate = self.learning_rate
        return keras.tree.map_structure(
            lambda x, change: x * (1 - rate) - rate * change, base, changes
        )

    def changes(
        self,
        base: BaseWeights,
        inputs: Tensor,
        activation: Callable = ops.relu,
    ) -> Change:
        """Computes what an update is made of; see `step`."""
        self.check_embedding(base.kernels[-1].shape[-1])
        xs, zs = run_base(base, inputs, activation)
        hidden, deltas = self._hidden_states(base, xs, [xs[0], *zs])
        kernels, biases, backward = [], [], []
        for layer, kernel in enumerate(base.kernels):
            lower = xs[layer], hidden[layer]
            upper = xs[layer + 1], hidden[layer + 1]
            kernels.append(self.kernel_change(kernel, lower, upper))
            biases.append(self._bias_change(upper[1]))
            backward.append(
                kernels[-1]
                if self.identical_updates
                else self.backward_change(base.backward[layer], lower, upper)
            )
        return Change(hidden, deltas, BaseWeights(kernels, biases, backward))

    def _hidden_states(
        self, base: BaseWeights, xs: list, zs: list
    ) -> tuple[list, list]:
        """Computes hidden states and error signals, from the embedding down."""
        delta = self._delta_of_embedding(xs[-1])
        zero = ops.zeros_like(xs[0][..., 0, :])
        hidden: list = []
        deltas: list = []
        for layer in reversed(range(len(xs))):
            below = base.kernels[layer - 1] if layer else None
            above = base.kernels[layer] if layer + 1 < len(xs) else None
            bias = base.biases[layer - 1] if layer else zero
            statistics = _weight_statistics(below, above)
            h = self._hidden_state(
                xs[layer], zs[layer], delta, statistics, bias
            )
            hidden.insert(0, h)
            deltas.insert(0, delta)
            if layer:
                delta = delta * ops.sigmoid(_by_unit(zs[layer]))
                delta = delta + self.to_delta(h)
                delta = _send_down(base.backward[layer - 1], delta)
        return hidden, deltas

    def _delta_of_embedding(self, embedding: Tensor) -> Tensor:
        x = self.top[0](_by_unit(embedding))
        if self.mixing:
            # Units take the place of channels, so that they are mixed.
            x = ops.swapaxes(x, UNITS, -1)
            for layer in self.mixing:
                x = layer(x)
            x = ops.swapaxes(x, UNITS, -1)
        for layer in self.top[1:]:
            x = layer(x)
        return self.top_delta(x)

    def _hidden_state(
        self, x: Tensor, z: Tensor, delta: Tensor, own: Tensor, bias: Tensor
    ) -> Tensor:
        """Computes hidden states of a layer, `(..., units, batch, hidden_dim)`.

        Args:
            x: Activations, `(..., batch, units)`.
            z: What they are activations of.
            delta: Error signals, `(..., units, batch, delta_dim)`.
            own: Statistics of each unit's weights, `(..., units, 8)`.
            bias: `(..., units)`.
        """
        size = x.shape[-1]
        # (units, 1, 2), as (..., units, batch, 2)
        angle = np.linspace(0, 4 * np.pi, size, dtype="float32")
        wave = np.stack([np.sin(angle), np.cos(angle)], -1)[:, None]
        shape = (*delta.shape[:-1], 2)
        wave = ops.broadcast_to(ops.convert_to_tensor(wave), shape)
        # Two, the wave and the error signals, (..., units, batch, channels)
        seen = ops.concatenate([_by_unit(x), _by_unit(z), wave, delta], -1)
        seen = standardize(seen, (UNITS, BATCH), 1e-3) + self.offset
        # (..., units, 8) and (..., units) -> (..., units, batch, 9)
        fixed = ops.concatenate([own, bias[..., None]], -1)[..., None, :]
        fixed = ops.broadcast_to(fixed, (*delta.shape[:-1], 9))
        hidden = ops.concatenate([fixed, seen], -1)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden

    def _bias_change(self, hidden: Tensor) -> Tensor:
        # (..., units, batch, 1) -> (..., units)
        change = ops.mean(self.to_bias(hidden)[..., 0], axis=-1)
        # Biases may not all grow for ever.
        mean = ops.mean(change, axis=-1, keepdims=True)
        change = change + ops.relu(-mean)
        power = ops.mean(ops.square(change), axis=-1, keepdims=True)
        return change * ops.rsqrt(0.5 + power)

    def check_embedding(self, width: int) -> None:
        """Raises an error if the rule cannot train such base models.

        Args:
            width: Number of units of the embedding.
        """
        if self.embedding_dim not in (None, width):
            raise ValueError(
                "A rule that mixes the units of the embedding trains base "
                f"models with an embedding of {self.embedding_dim} units. "
                f"Received: an embedding of {width} units. Make the last of "
                "the base model's `units` that size, or make the rule with "
                "`embedding_dim=None`."
            )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ["units", "top_units", "delta_dim", "rank", "embedding_dim"]
        names += ["identical_updates", "learning_rate"]
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config}


def _by_unit(x: Tensor) -> Tensor:
    """Turns `(..., batch, units)` into `(..., units, batch, 1)`."""
    return ops.swapaxes(x, -1, -2)[..., None]


def _weight_statistics(below: Tensor | None, above: Tensor | None) -> Tensor:
    """Returns four statistics of the weights on each side of a layer's units.

    Args:
        below: `(..., lower, units)`; None at the inputs.
        above: `(..., units, upper)`; None at the embedding.

    Returns:
        `(..., units, 8)`, over their root mean square.
    """
    sides = [
        _four(kernel, axis)
        for kernel, axis in ((below, -2), (above, -1))
        if kernel is not None
    ]
    both = ops.concatenate([sides[0], sides[-1]], -1)
    return over_rms(both, (-2, -1), 1e-6)


def _four(kernel: Tensor, axis: int) -> Tensor:
    power = ops.mean(ops.square(kernel), axis=axis)
    mean = ops.mean(kernel, axis=axis)
    centred = kernel - ops.expand_dims(mean, axis)
    variance = ops.mean(ops.square(centred), axis=axis)
    absolute = ops.mean(ops.abs(kernel), axis=axis)
    return ops.stack(
        [absolute, ops.sqrt(power + 1e-6), mean, ops.sqrt(variance + 1e-8)],
        axis=-1,
    )


def _send_down(backward: Tensor, delta: Tensor) -> Tensor:
    """Sends error signals down, `(..., lower, batch, delta_dim)`."""
    # (..., upper, batch, delta_dim) -> (..., upper, batch * delta_dim)
    flat = ops.reshape(delta, (*delta.shape[:-2], -1))
    sent = ops.matmul(backward, flat)
    sent = ops.reshape(sent, (*sent.shape[:-1], *delta.shape[-2:]))
    return over_rms(sent, -1, 1e-6)
