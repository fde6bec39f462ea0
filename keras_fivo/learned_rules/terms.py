"""The twelve terms of a change of weights, and how they are merged.

A kernel is `(..., lower, upper)`; hidden states are `(..., units, batch,
channels)`.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_fivo.learned_rules.base import over_rms, standardize
from keras_fivo.learned_rules.blocks import truncated_normal
from keras_fivo.types import Tensor

# Low-rank readouts of the units above and below a kernel, in the order in
# which their weights lie side by side. A symmetric or positive readout is of
# one side alone.
UPPER_READOUTS = (
    "0_order/top",
    "rbf/top",
    "1_order/top",
    "lin_upper_symm/top",
    "lin_upper_symm/bottom",
    "lin_upper_psd/top",
    "sqr_upper_symm/top",
    "sqr_upper_symm/bottom",
)
LOWER_READOUTS = (
    "0_order/bottom",
    "rbf/bottom",
    "1_order/bottom",
    "lin_lower_symm/top",
    "lin_lower_symm/bottom",
    "sqr_lower_symm/top",
    "sqr_lower_symm/bottom",
)
# In the order of the weights that merge them.
TERMS = (
    "0_order",
    "1_order",
    "decorr_x",
    "hebb",
    "large_decay",
    "lin_lower_symm",
    "lin_upper_psd",
    "lin_upper_symm",
    "rbf",
    "sqr_lower_symm",
    "sqr_upper_symm",
    "w_base",
)


class KernelChange(keras.layers.Layer):
    """The change of a kernel, from what its lower and upper units know.

    Args:
        rank: Number of channels of a low-rank readout.
    """

    term_names = TERMS
    """Names of the terms that `coefficients` merge, in their order."""

    def __init__(self, rank: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = rank

    def build(self, hidden_dim: int) -> None:
        """Creates the weights for hidden states of a number of channels."""
        for side, names in (
            ("upper", UPPER_READOUTS),
            ("lower", LOWER_READOUTS),
        ):
            size = len(names) * self.rank
            kernel = self.add_weight(
                shape=(hidden_dim, size),
                initializer=truncated_normal(hidden_dim),
                name=f"{side}_kernel",
            )
            bias = self.add_weight(
                shape=(size,), initializer="zeros", name=f"{side}_bias"
            )
            setattr(self, f"{side}_kernel", kernel)
            setattr(self, f"{side}_bias", bias)
        self.coefficients = self.add_weight(
            shape=(len(TERMS),),
            initializer=keras.initializers.Constant(0.1),
            name="coefficients",
        )
        self.constant = self.add_weight(
            shape=(), initializer="zeros", name="constant"
        )

    def call(
        self,
        kernel: Tensor,
        lower: tuple[Tensor, Tensor],
        upper: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Returns the merged change.

        Args:
            kernel: `(..., lower, upper)`.
            lower: Activations `(..., batch, lower)` and hidden states
                `(..., lower, batch, hidden_dim)` of the units below.
            upper: Activations and hidden states of the units above.
        """
        return self.merge(self.terms(kernel, lower, upper))

    def terms(
        self,
        kernel: Tensor,
        lower: tuple[Tensor, Tensor],
        upper: tuple[Tensor, Tensor],
    ) -> dict:
        """Computes the terms by name, each shaped as the kernel; see `call`."""
        w = over_rms(kernel, -2, 1e-6)
        grown, sign = ops.sqrt(1.0 + ops.square(w)) - 1.0, ops.sign(w)
        (x_lower, h_lower), (x_upper, h_upper) = lower, upper
        read = {
            **self._read(
                h_upper, self.upper_kernel, self.upper_bias, UPPER_READOUTS
            ),
            **self._read(
                h_lower, self.lower_kernel, self.lower_bias, LOWER_READOUTS
            ),
        }
        batch = x_upper.shape[-2]
        low, up = standardize(x_lower, -2, 1e-6), standardize(x_upper, -2, 1e-6)
        correlation = ops.matmul(_transpose(up), up) / (
            batch * math.sqrt(x_upper.shape[-1])
        )
        decorrelated = ops.matmul(w, correlation)
        power = ops.mean(
            ops.square(decorrelated) + 1e-8, axis=(-2, -1), keepdims=True
        )
        return {
            "w_base": w,
            "large_decay": ops.square(w) * sign,
            "decorr_x": decorrelated * ops.rsqrt(power),
            "hebb": -ops.matmul(_transpose(low), up) / batch,
            "0_order": self._low_rank(read, "0_order"),
            "rbf": ops.exp(-ops.square(w)) * self._low_rank(read, "rbf"),
            "1_order": w * self._low_rank(read, "1_order"),
            "lin_upper_symm": ops.matmul(
                w, self._symmetric(read, "lin_upper_symm")
            ),
            "lin_upper_psd": ops.matmul(w, self._positive(read)),
            "lin_lower_symm": ops.matmul(
                self._symmetric(read, "lin_lower_symm"), w
            ),
            "sqr_upper_symm": sign
            * ops.matmul(grown, self._symmetric(read, "sqr_upper_symm")),
            "sqr_lower_symm": sign
            * ops.matmul(self._symmetric(read, "sqr_lower_symm"), grown),
        }

    def merge(self, terms: dict) -> Tensor:
        """Makes one change of the terms by name."""
        w = terms["w_base"]
        scaled = [_bounded(terms[name], 1.0) for name in TERMS]
        change = self.constant + sum(
            self.coefficients[i] * term for i, term in enumerate(scaled)
        )
        change = change / len(TERMS)
        # A receptive field may turn or grow, and must not shrink.
        shrinking = ops.mean(change * w, axis=(-2, -1), keepdims=True)
        change = (change - w * ops.relu(shrinking)) / math.sqrt(len(TERMS))
        return _bounded(change, 1.0) - w / 7.0

    def _read(
        self, hidden: Tensor, kernel: Tensor, bias: Tensor, names: tuple
    ) -> dict:
        """Returns readouts `(..., units, batch * rank)` by name."""
        read = ops.matmul(hidden, kernel) + bias
        shape = (*hidden.shape[:-2], -1)
        return {
            name: ops.reshape(part, shape)
            for name, part in zip(
                names, ops.split(read, len(names), axis=-1), strict=True
            )
        }

    def _low_rank(self, read: dict, name: str) -> Tensor:
        """Returns the mean over batch and channels of bottom times top."""
        bottom, top = read[f"{name}/bottom"], read[f"{name}/top"]
        return ops.matmul(bottom, _transpose(top)) / top.shape[-1]

    def _symmetric(self, read: dict, name: str) -> Tensor:
        matrix = self._low_rank(read, name)
        size = matrix.shape[-1]
        symmetric = (matrix + _transpose(matrix)) / math.sqrt(2.0 * size)
        return symmetric * (1.0 - ops.eye(size))

    def _positive(self, read: dict) -> Tensor:
        top = read["lin_upper_psd/top"]
        scale = top.shape[-1] * math.sqrt(top.shape[-2])
        return ops.matmul(top, _transpose(top)) / scale


def _transpose(x: Tensor) -> Tensor:
    return ops.swapaxes(x, -1, -2)


def _bounded(x: Tensor, epsilon: float) -> Tensor:
    """Divides each receptive field by sqrt(epsilon + its mean square)."""
    power = ops.mean(ops.square(x), axis=-2, keepdims=True)
    return x * ops.rsqrt(power + epsilon)
