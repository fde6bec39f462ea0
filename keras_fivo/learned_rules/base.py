"""The base model: the perceptron that a rule trains."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import ops

from keras_fivo.types import SeedLike, Tensor

KERNEL_DEVIATION = 0.01
BIAS_DEVIATION = 0.1


class BaseWeights(NamedTuple):
    """Weights of a multilayer perceptron, the layer of the inputs first.

    All may have the same leading axes: several base models at once.

    Attributes:
        kernels: List of each layer's kernel, `(..., inputs, units)`.
        biases: List of each layer's bias, `(..., units)`.
        backward: List of each layer's matrix, of the kernel's shape, that
            carries errors from its units to its inputs.
    """

    kernels: list
    biases: list
    backward: list


def base_forms(input_dim: int, units: Sequence[int]) -> BaseWeights:
    """Returns shapes and standard deviations in the place of weights.

    Args:
        input_dim: Number of inputs.
        units: Sizes of the layers, the embedding last.
    """
    shapes = list(zip([input_dim, *units[:-1]], units, strict=True))
    kernels = [(shape, KERNEL_DEVIATION) for shape in shapes]
    biases = [((size,), BIAS_DEVIATION) for size in units]
    return BaseWeights(kernels, biases, list(kernels))


def initial_base(
    input_dim: int,
    units: Sequence[int],
    seed: SeedLike = None,
    num_models: int | None = None,
) -> BaseWeights:
    """Draws the weights of a base model that has learned nothing.

    Args:
        input_dim: Number of inputs.
        units: Sizes of the layers, the embedding last.
        seed: Int, seed generator or None.
        num_models: Number of base models in a leading axis; None: one,
            without that axis.
    """
    if not isinstance(seed, keras.random.SeedGenerator):
        seed = keras.random.SeedGenerator(seed)
    leading = () if num_models is None else (num_models,)

    def normal(shape: tuple, deviation: float) -> Tensor:
        return keras.random.truncated_normal(
            leading + shape, stddev=deviation, dtype="float32", seed=seed
        )

    parts = base_forms(input_dim, units)
    return BaseWeights(*[[normal(*form) for form in part] for part in parts])


def run_base(
    base: BaseWeights, inputs: Tensor, activation: Callable = ops.relu
) -> tuple[list, list]:
    """Runs a base model, normalising over the batch in every layer.

    Args:
        base: Weights.
        inputs: `(..., batch, inputs)`.
        activation: Activation of every layer.

    Returns:
        The activations of each layer, the inputs first and the embedding
        last, and what they are activations of, each `(..., batch, units)`.
    """
    activations, before = [ops.convert_to_tensor(inputs)], []
    for kernel, bias in zip(base.kernels, base.biases, strict=True):
        z = standardize(ops.matmul(activations[-1], kernel), -2, 1e-6)
        before.append(z + bias[..., None, :])
        activations.append(activation(before[-1]))
    return activations, before


def standardize(x: Tensor, axis: int | tuple, epsilon: float) -> Tensor:
    """Takes the mean along axes from `x`, and divides by the deviation."""
    centred = x - ops.mean(x, axis=axis, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=axis, keepdims=True)
    return centred * ops.rsqrt(variance + epsilon)


def over_rms(x: Tensor, axis: int | tuple, epsilon: float) -> Tensor:
    """Divides `x` by its root mean square along axes."""
    power = ops.mean(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(power + epsilon)
