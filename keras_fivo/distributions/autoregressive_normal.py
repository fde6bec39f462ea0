"""Normal entries that depend linearly on those before them."""

import numpy as np
from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.normal import Normal
from keras_fivo.types import Tensor


class AutoregressiveNormal(Distribution):
    """Entries in an order, as the samples of a signal, each row a process.

    With r_d = x_d - loc_d, and r = 0 before the first entry,

        r_d = sum_k a_k r_{d-k} + scale_d e_d,    e_d ~ Normal(0, 1),

    for k from 1 to the order: linear prediction within the event. `log_prob`
    is exact, takes as many products of entries as the order, and costs no
    determinant, as the matrix of r to e is triangular.

    Being a joint density, it has no log density of some entries without the
    others: masks of entries are refused.

    Args:
        loc: `(rows, entries)`. Means.
        scale: `(rows, entries)`. Standard deviations of an entry given those
            before it, positive.
        coefficients: `(rows, order)`. The a_k, of the entry just before
            first.

    Reference:
        Makhoul, 1975, "Linear Prediction: A Tutorial Review".
    """

    parameter_names = ("loc", "scale", "coefficients")

    def __init__(
        self, loc: Tensor, scale: Tensor, coefficients: Tensor
    ) -> None:
        self.loc = loc
        self.scale = scale
        self.coefficients = coefficients

    def conditional(self, value: Tensor) -> Normal:
        """The density of each entry given those of `value` before it."""
        residual = value - self.loc
        order, entries = self.coefficients.shape[-1], value.shape[-1]
        # (rows, order + entries): residual[d - k] is at order + d - k
        padded = ops.pad(residual, ((0, 0), (order, 0)))
        predicted = self.loc
        for k in range(1, order + 1):
            lagged = padded[:, order - k : order - k + entries]
            predicted = predicted + self.coefficients[:, k - 1 : k] * lagged
        return Normal(predicted, self.scale)

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Log density of each entry given those before, in nats."""
        return self.conditional(value).entry_log_prob(value)

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log density of each row, `(rows,)`, in nats.

        Raises:
            ValueError: If a mask is given.
        """
        if mask is not None:
            raise ValueError(
                "AutoregressiveNormal is a joint density: single entries "
                "cannot be left out. Pass a mask of whole steps, (batch, "
                "time), or use an emission with independent entries. "
                f"Received: mask of shape {tuple(mask.shape)}"
            )
        return super().log_prob(value)

    def sample(self, noise: Tensor) -> Tensor:
        """The process that standard Normal noise drives."""
        driven = ops.expand_dims(self.scale * noise, -1)
        return self.loc + ops.squeeze(self._solve(driven), -1)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The mode, which is the mean."""
        return self.loc

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
        """Quantiles of each entry by itself."""
        return self.marginal.quantile(probability)

    def _solve(self, driven: Tensor) -> Tensor:
        """The residuals r of `(rows, entries, columns)` of scaled noise."""
        entries, order = self.scale.shape[-1], self.coefficients.shape[-1]
        # Row d of I - A has -a_k in column d - k.
        lags = np.arange(entries)[:, None] - np.arange(entries)
        inside = ((lags >= 1) & (lags <= order)).astype("float32")
        places = np.clip(lags - 1, 0, order - 1).reshape(-1)
        taken = ops.take(self.coefficients, places, axis=-1)
        band = ops.multiply(ops.reshape(taken, (-1, entries, entries)), inside)
        return ops.solve_triangular(ops.eye(entries) - band, driven, lower=True)
