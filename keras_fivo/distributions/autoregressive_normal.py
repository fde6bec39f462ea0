"""Normal entries that depend linearly on those before them."""

import numpy as np
from keras import ops

from keras_fivo.distributions.distribution import (
    AutoregressiveDistribution,
    Symmetric,
)
from keras_fivo.distributions.normal import Normal
from keras_fivo.types import Tensor


class AutoregressiveNormal(Symmetric, AutoregressiveDistribution):
    """Entries in an order, as the samples of a signal, each row a process.

    With r_d = x_d - loc_d, and r = 0 before the first entry,

        r_d = sum_k a_k r_{d-k} + scale_d e_d,    e_d ~ Normal(0, 1),

    for k from 1 to the order: linear prediction within the event. The a_k are
    told by reflection coefficients, of which any between -1 and 1 make a
    stable process, and which a lattice filter takes as they are. `log_prob`
    needs no determinant, as r is a triangular function of e.

    Args:
        loc: `(rows, entries)`. Means.
        scale: `(rows, entries)`. Standard deviations of an entry given those
            before it, positive.
        reflections: `(rows, order)`. Between -1 and 1; 0 for independent
            entries.

    Reference:
        Makhoul, 1975, "Linear Prediction: A Tutorial Review"; Itakura and
        Saito, 1971, "Digital Filtering Techniques for Speech Analysis and
        Synthesis" (the lattice).
    """

    parameter_names = ("loc", "scale", "reflections")

    def __init__(self, loc: Tensor, scale: Tensor, reflections: Tensor) -> None:
        self.loc = loc
        self.scale = scale
        self.reflections = reflections

    def innovations(self, value: Tensor) -> Tensor:
        """Returns what those before an entry do not predict, `scale * e`."""
        forward = backward = value - self.loc
        for m in range(self.reflections.shape[-1]):
            # f_m = f_{m-1} - k_m b_{m-1}, b_m = b_{m-1} - k_m f_{m-1}, where
            # b is of one entry before.
            before = ops.pad(backward[:, :-1], ((0, 0), (1, 0)))
            k = self.reflections[:, m : m + 1]
            forward, backward = forward - k * before, before - k * forward
        return forward

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry given those before, in nats."""
        return Normal(ops.zeros_like(self.scale), self.scale).entry_log_prob(
            self.innovations(value)
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the process that standard Normal noise drives."""
        driven = ops.expand_dims(self.scale * noise, -1)
        return self.loc + ops.squeeze(self._solve(driven), -1)

    @property
    def marginal(self) -> Normal:
        """The density of each entry by itself."""
        rows, entries = ops.shape(self.scale)[0], self.scale.shape[-1]
        driven = ops.expand_dims(self.scale, -2) * ops.eye(entries)
        driven = ops.broadcast_to(driven, (rows, entries, entries))
        # Column j is what a noise of 1 in entry j adds to all entries.
        variance = ops.sum(ops.square(self._solve(driven)), axis=-1)
        return Normal(self.loc, ops.sqrt(variance))

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns quantiles of each entry by itself."""
        return self.marginal.quantile(probability)

    def _solve(self, driven: Tensor) -> Tensor:
        """Solves for residuals of scaled noise `(rows, entries, columns)`."""
        entries, order = self.scale.shape[-1], self.reflections.shape[-1]
        # Row d of I - A has -a_k in column d - k.
        lags = np.arange(entries)[:, None] - np.arange(entries)
        inside = ((lags >= 1) & (lags <= order)).astype("float32")
        places = np.clip(lags - 1, 0, order - 1).reshape(-1)
        coefficients = prediction_coefficients(self.reflections)
        taken = ops.take(coefficients, places, axis=-1)
        band = ops.multiply(ops.reshape(taken, (-1, entries, entries)), inside)
        return ops.solve_triangular(ops.eye(entries) - band, driven, lower=True)


def prediction_coefficients(reflections: Tensor) -> Tensor:
    """Returns coefficients of a filter from its reflection coefficients.

    Durbin's recursion: from order m - 1 to m, a_m = k_m and
    a_j = a_j - k_m a_{m-j}. All |k| < 1 make a stable process.

    Args:
        reflections: `(rows, order)`, between -1 and 1.

    Returns:
        `(rows, order)`, the coefficient of the entry just before first.
    """
    found = reflections[:, :1]
    for m in range(1, reflections.shape[-1]):
        k = reflections[:, m : m + 1]
        found = ops.concatenate([found - k * ops.flip(found, axis=-1), k], -1)
    return found
