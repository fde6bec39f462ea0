"""Binary entries that depend on those before them."""

from typing import Any

from keras import ops

from keras_fivo.distributions.distribution import (
    AutoregressiveDistribution,
)
from keras_fivo.types import Tensor


class AutoregressiveBernoulli(AutoregressiveDistribution):
    """A joint distribution of binary entries, factored in their order.

    Entry d is 1 with the log odds `logits[d] + (relu(hidden + x @
    input_kernel) @ output_kernel + x @ direct_kernel)[d]`, where the kernels
    are masked so that only x before d counts. `log_prob` is exact and takes
    three products of matrices; sampling goes entry by entry.

    A mode or a mean that is exact would need all 2^D values: `mode` takes
    the more probable value entry by entry, and `mean` is the probability of
    each entry along that path, not the marginal one; for marginals, average
    samples.

    Args:
        logits: `(rows, entries)`. Log odds before the dependence.
        hidden: `(rows, units)`. Hidden units before the dependence.
        kernels: Dict of `input` `(entries, units)`, `output` `(units,
            entries)` and `direct` `(entries, entries)`, shared by the rows
            and masked.

    Reference:
        Germain et al., 2015, "MADE"; Larochelle and Murray, 2011, "The
        Neural Autoregressive Distribution Estimator".
    """

    parameter_names = ("logits", "hidden")
    noise = "uniform"

    def __init__(self, logits: Tensor, hidden: Tensor, kernels: dict) -> None:
        self.logits = logits
        self.hidden = hidden
        self.kernels = kernels

    @property
    def constants(self) -> dict:
        """The kernels."""
        return {"kernels": self.kernels}

    def conditional_logits(self, value: Tensor) -> Tensor:
        """Returns log odds of each entry given those of `value` before it."""
        hidden = ops.relu(
            self.hidden + ops.matmul(value, self.kernels["input"])
        )
        return (
            self.logits
            + ops.matmul(hidden, self.kernels["output"])
            + ops.matmul(value, self.kernels["direct"])
        )

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log probability of each entry given those before."""
        logits = self.conditional_logits(value)
        return value * logits - ops.softplus(logits)

    def sample(self, noise: Tensor) -> Tensor:
        """Gives 1 where uniform noise is below the conditional probability."""
        return self._run(noise)[0]

    @property
    def mode(self) -> Tensor:
        """The more probable value of each entry given those before."""
        return self._run(ops.full_like(self.logits, 0.5))[0]

    @property
    def mean(self) -> Tensor:
        """Probability of a 1 in each entry, given the `mode` before it."""
        return self._run(ops.full_like(self.logits, 0.5))[1]

    def _run(self, thresholds: Tensor) -> tuple[Any, Any]:
        """Returns values and conditional probabilities, `(rows, entries)`."""
        entries = int(self.logits.shape[-1])
        places = ops.eye(entries, dtype=self.logits.dtype)
        output = ops.transpose(self.kernels["output"])

        def advance(d: Tensor, state: tuple) -> tuple:
            values, probabilities, hidden, logits = state
            place = ops.take(places, d, axis=0)
            column = ops.expand_dims(ops.take(output, d, axis=0), -1)
            logit = ops.matmul(ops.relu(hidden), column)
            logit = logit + ops.sum(logits * place, -1, keepdims=True)
            probability = ops.sigmoid(logit)
            threshold = ops.sum(thresholds * place, -1, keepdims=True)
            value = ops.cast(threshold < probability, logits.dtype)
            return (
                values + value * place,
                probabilities + probability * place,
                hidden + value * ops.take(self.kernels["input"], d, axis=0),
                logits + value * ops.take(self.kernels["direct"], d, axis=0),
            )

        zeros = ops.zeros_like(self.logits)
        values, probabilities, _, _ = ops.fori_loop(
            0, entries, advance, (zeros, zeros, self.hidden, self.logits)
        )
        return values, probabilities
