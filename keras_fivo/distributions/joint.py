"""Independent groups of entries, each of a distribution of its own."""

from collections.abc import Callable, Sequence

from keras import ops

from keras_fivo.distributions.distribution import Distribution
from keras_fivo.distributions.special import normal_quantile, open_uniform
from keras_fivo.types import Tensor


class Joint(Distribution):
    """Groups of entries, in their order along the last axis.

    All noise is uniform, whatever that of the parts: a part that takes
    standard Normal noise gets its quantiles.

    Args:
        parts: A distribution for each group.
        sizes: Number of entries of each group.
    """

    noise = "uniform"

    def __init__(
        self, parts: Sequence[Distribution], sizes: Sequence[int]
    ) -> None:
        self.parts = list(parts)
        self.sizes = [int(size) for size in sizes]

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density, or probability, of each entry, in nats."""
        return self._joined(
            lambda part, entries: part.entry_log_prob(entries), value
        )

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the log density of each row; see `Distribution.log_prob`."""
        values = split_sizes(value, self.sizes)
        masks = [None] * len(values)
        if mask is not None:
            masks = split_sizes(mask, self.sizes)
        groups = zip(self.parts, values, masks, strict=True)
        return sum(part.log_prob(*group) for part, *group in groups)

    def sample(self, noise: Tensor) -> Tensor:
        """Samples all parts, from uniform noise."""
        numbers = [
            size * part.noise_per_entry
            for part, size in zip(self.parts, self.sizes, strict=True)
        ]
        samples = []
        for part, uniform in zip(
            self.parts, split_sizes(noise, numbers), strict=True
        ):
            if part.noise == "normal":
                uniform = normal_quantile(open_uniform(uniform))
            samples.append(part.sample(uniform))
        return ops.concatenate(samples, axis=-1)

    def completed(self, value: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        """Completes a sample, or the mean, given some entries."""
        values = [split_sizes(x, self.sizes) for x in (value, known, mask)]
        groups = zip(self.parts, *values, strict=True)
        found = [part.completed(*group) for part, *group in groups]
        return ops.concatenate(found, axis=-1)

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        return ops.concatenate([part.mean for part in self.parts], axis=-1)

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        return ops.concatenate([part.mode for part in self.parts], axis=-1)

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns quantiles of the entries."""
        if not hasattr(probability, "shape") or not probability.shape:
            found = [part.quantile(probability) for part in self.parts]
            return ops.concatenate(found, axis=-1)
        return self._joined(lambda part, p: part.quantile(p), probability)

    def _joined(
        self, function: Callable[[Distribution, Tensor], Tensor], value: Tensor
    ) -> Tensor:
        values = split_sizes(value, self.sizes)
        found = map(function, self.parts, values)
        return ops.concatenate(list(found), axis=-1)


def split_sizes(value: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Splits the last axis into groups of these sizes."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    starts = [0, *ends[:-1]]
    return [value[..., a:b] for a, b in zip(starts, ends, strict=True)]
