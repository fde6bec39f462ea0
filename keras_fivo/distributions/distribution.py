"""What every distribution offers."""

from typing import Any

from keras import ops

from keras_fivo.types import Shape, Tensor


class Distribution:
    """A density over rows of any trailing shape; parameters are tensors.

    A subclass lists its parameters in `parameter_names`, computes
    `entry_log_prob` and `sample`, and says in `noise` which random numbers
    `sample` turns into a sample, `"normal"` or `"uniform"`, and in
    `noise_per_entry` how many of them an entry takes. Noise has the shape of
    one sample, but for a last axis that many times as long: first the first
    numbers of all entries, then the second. Distributions never draw.

    Discrete distributions sample by the inverse of their distribution
    function and are not differentiable in their parameters.
    """

    parameter_names: tuple[str, ...] = ()
    noise: str = "normal"
    noise_per_entry: int = 1

    @property
    def constants(self) -> dict:
        """Constructor arguments that all rows share."""
        return {}

    @classmethod
    def noise_shape(cls, event_dim: int) -> Shape:
        """Returns the shape of the noise of one event of this size."""
        return (event_dim * cls.noise_per_entry,)

    def entry_log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density of each entry, in nats, shaped as `value`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `entry_log_prob`."
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Turns noise into a sample; see above for the shape of noise."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `sample`."
        )

    @property
    def mean(self) -> Tensor:
        """The expected value, of the shape of one sample."""
        raise NotImplementedError(f"{type(self).__name__} has no mean.")

    @property
    def mode(self) -> Tensor:
        """The most probable value, of the shape of one sample."""
        raise NotImplementedError(f"{type(self).__name__} has no mode.")

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Returns the smallest value whose distribution function is not below.

        Args:
            probability: Between 0 and 1, a number or of the shape of one
                sample.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no quantile in closed form. "
            "Take quantiles of samples."
        )

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the log density of each row.

        Args:
            value: `(rows, ...)`.
            mask: Optional boolean of the shape of `value`; entries where it
                is False are left out of the sum.

        Returns:
            `(rows,)`, in nats: the sum over all axes but the first.
        """
        entries = self.entry_log_prob(value)
        if mask is not None:
            entries = ops.where(mask, entries, ops.zeros_like(entries))
        return sum_entries(entries)

    def sample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Samples; returns the log density too, `(rows,)`."""
        value = self.sample(noise)
        return value, self.log_prob(value)

    def completed(self, value: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        """Completes a sample, or the mean, given some entries.

        Where entries depend on each other, the others follow the known ones.

        Args:
            value: A sample, or the mean, `(rows, ...)`.
            known: Values of the same shape; finite throughout.
            mask: Bool of that shape, where they are known.
        """
        return ops.where(mask, known, value)

    def select(self, condition: Tensor, other: "Distribution") -> Any:
        """Takes this distribution where `condition` holds, else `other`.

        Args:
            condition: Boolean `(rows,)`.
            other: A distribution of the same class.
        """
        if type(other) is not type(self):
            raise TypeError(
                "Only distributions of one class can be joined by rows. "
                f"Received: other={other!r}, expected a "
                f"{type(self).__name__}."
            )
        chosen = {}
        for name in self.parameter_names:
            mine, theirs = getattr(self, name), getattr(other, name)
            shape = (-1,) + (1,) * (len(mine.shape) - 1)
            rows = ops.reshape(condition, shape)
            chosen[name] = ops.where(rows, mine, theirs)
        return type(self)(**chosen, **self.constants)


class Symmetric:
    """What densities have in common that are symmetric about their `loc`."""

    loc: Tensor

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The location, which is the mean."""
        return self.loc


class AutoregressiveDistribution(Distribution):
    """A density of entries each of which depends on those before it.

    It has no log density of some entries without the others: masks of
    entries are refused.
    """

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the log density of each row, `(rows,)`, in nats.

        Raises:
            ValueError: If a mask is given.
        """
        if mask is not None:
            raise ValueError(
                f"{type(self).__name__} is a joint density: single entries "
                "cannot be left out. Pass a mask of whole steps, (batch, "
                "time), or use an emission with independent entries. "
                f"Received: mask of shape {tuple(mask.shape)}"
            )
        return super().log_prob(value)


def sum_entries(entries: Tensor) -> Tensor:
    """Sums all axes but the first."""
    if len(entries.shape) == 1:
        return entries
    return ops.sum(entries, axis=tuple(range(1, len(entries.shape))))


def observed_log_prob(
    density: Distribution, observations: Tensor, observed: Tensor
) -> Tensor:
    """Returns the log density of what is observed, `(rows,)`, in nats.

    Args:
        density: Density of one observation, by rows.
        observations: `(rows, ...)`.
        observed: Bool `(rows,)` for whole observations, or `(rows, ...)`.
    """
    if len(observed.shape) > 1:
        return density.log_prob(observations, observed)
    value = density.log_prob(observations)
    return ops.where(observed, value, ops.zeros_like(value))
