"""Metrics whose values over a data set do not depend on its batches."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class Ratio(keras.metrics.Metric):
    """Sum over sum: the same however a data set is cut into batches."""

    def __init__(self, name: str = "ratio", **kwargs: Any) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        self.numerator = self.add_variable((), "zeros", name="numerator")
        self.denominator = self.add_variable((), "zeros", name="denominator")

    def update_state(self, numerator: Tensor, denominator: Tensor) -> None:
        """Adds to both sums."""
        self.numerator.assign_add(ops.cast(numerator, "float32"))
        self.denominator.assign_add(ops.cast(denominator, "float32"))

    def result(self) -> Tensor:
        """Returns the ratio; NaN while nothing has been counted."""
        numerator = ops.convert_to_tensor(self.numerator)
        denominator = ops.convert_to_tensor(self.denominator)
        return numerator / denominator


@keras.saving.register_keras_serializable(package="keras_fivo")
class Count(keras.metrics.Metric):
    """A sum."""

    def __init__(self, name: str = "count", **kwargs: Any) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, value: Tensor) -> None:
        """Adds to the sum."""
        self.total.assign_add(ops.cast(value, "float32"))

    def result(self) -> Tensor:
        """Returns the sum."""
        return self.total.value + 0.0


def direction_of(name: str) -> str | None:
    """Returns whether a metric is better `"up"` or `"down"`; None: neither.

    Args:
        name: Name of a metric of `FilterMetrics`.
    """
    if name in ("bound_per_step", "bound_per_sequence", "ess"):
        return "up"
    if name in ("loss", "twist_loss", "dead_sequences", "skipped_updates"):
        return "down"
    return None


class FilterMetrics:
    """What `fit` and `evaluate` report, all in nats.

    Ratios of which nothing was counted, as where all sequences are empty, are
    NaN.

    * `loss`: what is minimised: the mean over sequences, weighted if there
      are sample weights, of -bound / length, or of -bound; and what
      regularisers and `add_loss` add to it. In evaluation it is infinite
      where it is not finite: a broken model is never the best.
    * `bound_per_step`: sum of bounds / sum of lengths.
    * `bound_per_sequence`: sum of bounds / number of sequences.
    * `kl_per_step`: analytic KL(q || p), sum over sum.
    * `ess`: effective sample size, mean over steps.
    * `resampling_rate`: fraction of steps after which particles were
      resampled.
    * `dead_sequences`: sequences all of whose particles died, or whose bound
      is NaN: they are in the bounds, which are then -inf. In training the
      dead are not in the loss.
    * `skipped_updates`: steps of training that changed no weight, as their
      loss or gradient was not finite, or no sequence was in the loss.
    * `twist_loss`: in training, what the weights of a twist minimise, where
      the model's own samples teach it; weighted as `loss`.
    * `inference_loss`: in training, what the weights of an iterative proposal
      minimise, where they have a loss of their own; weighted as `loss`.
    * `free_energy_0`, `free_energy_1`, ...: of an iterative proposal, the free
      energy before the first refinement and after each, sum over sum.

    Args:
        others: Names of losses besides the first that are reported.
        evaluations: Number of free energies of each step.
    """

    RATIOS = (
        "loss",
        "bound_per_step",
        "bound_per_sequence",
        "kl_per_step",
        "ess",
        "resampling_rate",
    )
    COUNTS = ("dead_sequences", "skipped_updates")

    def __init__(
        self, others: Sequence[str] = (), evaluations: int = 0
    ) -> None:
        energies = [f"free_energy_{k}" for k in range(evaluations)]
        names = [*self.RATIOS, *energies]
        self.ratios = {name: Ratio(name=name) for name in names}
        self.others = {name: Ratio(name=name) for name in others}
        self.counts = {name: Count(name=name) for name in self.COUNTS}
        for metric in self.as_list():
            # Where Keras, and tuners, look for it.
            metric._direction = direction_of(metric.name)

    def as_list(self) -> list:
        """Returns all metrics."""
        reported = self.ratios, self.counts, self.others
        return [metric for group in reported for metric in group.values()]

    def update(self, losses: dict, report: dict, applied: Tensor) -> None:
        """Adds one batch.

        Args:
            losses: Named losses, scalars; the first is `loss`.
            report: As from `summarize`, and `counted`, the sum of the
                weights of the sequences in the loss.
            applied: Bool scalar, whether weights were updated; True in
                evaluation.
        """
        applied = ops.cast(applied, "float32")
        used = applied * report["counted"]
        for name, metric in {
            "loss": self.ratios["loss"],
            **self.others,
        }.items():
            if name in losses:
                loss = losses[name]
                safe = ops.where(used > 0, loss, ops.zeros_like(loss))
                metric.update_state(safe * used, used)
        for name, metric in list(self.ratios.items())[1:]:
            metric.update_state(*report[name])
        self.counts["dead_sequences"].update_state(report["dead_sequences"])
        self.counts["skipped_updates"].update_state(1.0 - applied)


def summarize(result: Any) -> dict:
    """Sums up one batch, for `FilterMetrics.update`.

    Args:
        result: A `FilterResult`.
    """
    lengths = ops.cast(result.lengths, "float32")
    real = lengths > 0
    bounds = ops.stop_gradient(result.log_evidence)
    # Comparisons with NaN would keep the weights of a broken model for good.
    bounds = ops.where(ops.isfinite(bounds), bounds, -float("inf"))
    total = ops.sum(ops.where(real, bounds, ops.zeros_like(bounds)))
    steps = ops.sum(lengths)
    sequences = ops.sum(ops.cast(real, "float32"))
    dead = ops.sum(ops.cast(real & (bounds == -float("inf")), "float32"))
    active = ops.cast(result.active, "float32")
    ess = ops.sum(result.effective_sample_size * active)
    resampled = ops.sum(ops.cast(result.resampled, "float32") * active)
    energies = {}
    if result.free_energies is not None:
        # (batch, time, particles, evaluations) -> (evaluations,)
        values = ops.stop_gradient(result.free_energies)
        values = ops.sum(ops.mean(values, axis=2), axis=(0, 1))
        count = int(values.shape[0])
        for k, value in enumerate(ops.unstack(values, count)):
            energies[f"free_energy_{k}"] = (value, steps)
    return {
        **energies,
        "bound_per_step": (total, steps),
        "bound_per_sequence": (total, sequences),
        "kl_per_step": (ops.sum(result.kl), steps),
        "ess": (ess, steps),
        "resampling_rate": (resampled, steps),
        "dead_sequences": dead,
    }
