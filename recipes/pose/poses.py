"""Human poses: what they are, and what is refused."""

import dataclasses
import functools
import hashlib

import numpy as np

from recipes.data.splits import SPLITS, Splits
from recipes.pose.skeleton import NUM_FEATURES


@dataclasses.dataclass(frozen=True)
class Poses(Splits):
    """A data set of poses, in three splits.

    Each sequence is a float32 array `(steps, 64)`: 32 x values, then 32 y
    values.

    Args:
        name: str. Name of the data set.
        train: List of sequences.
        valid: List of sequences.
        test: List of sequences.
        given_mean: float32 `(64,)` to centre by, where the file holds one.
            Default: `None`, the mean of the train split.
        source: str. Where they came from, for the record of a run.

    Raises:
        ValueError: A split has no sequence, a sequence no step, or an array
            is not of poses.
    """

    name: str
    train: list
    valid: list
    test: list
    given_mean: np.ndarray | None = None
    source: str = ""

    def __post_init__(self):
        for split in SPLITS:
            where = f"split {split!r}"
            check_sequences(getattr(self, split), where, NUM_FEATURES)

    @functools.cached_property
    def train_mean(self):
        """What inputs are centred by; float32 `(64,)`."""
        if self.given_mean is not None:
            return self.given_mean
        mean, _ = self.moments
        return mean.astype("float32")

    @functools.cached_property
    def moments(self):
        """Mean and standard deviation of the train split; float64 `(64,)`."""
        steps = np.concatenate(self.train).astype("float64")
        return steps.mean(axis=0), steps.std(axis=0)

    def digest(self):
        """Returns what tells this data set from another."""
        found = hashlib.sha256(self.train_mean.tobytes())
        for split in SPLITS:
            for sequence in self.split(split):
                found.update(str(sequence.shape).encode())
                found.update(np.ascontiguousarray(sequence).tobytes())
        return found.hexdigest()[:16]


def check_sequences(sequences, where, num_features):
    """Refuses what is not a list of poses, before anyone trains on it.

    Args:
        sequences: List of arrays `(steps, num_features)`.
        where: str. What error messages call the list.
        num_features: Number of features.
    """
    if len(sequences) == 0:
        raise ValueError(
            "Each split must have at least one sequence. "
            f"Received: {where} with none."
        )
    for index, sequence in enumerate(sequences):
        received = f"Received: sequence {index} of {where}"
        if sequence.ndim != 2 or sequence.shape[1] != num_features:
            raise ValueError(
                f"A sequence of poses must have the shape (steps, "
                f"{num_features}), in each step all x values, then all y "
                f"values. {received} with shape={sequence.shape}."
            )
        if len(sequence) == 0:
            raise ValueError(
                "A sequence must have at least one step; leave it out. "
                f"{received} with steps=0."
            )
        finite = np.isfinite(sequence)
        if not finite.all():
            step, feature = np.unravel_index(finite.argmin(), finite.shape)
            raise ValueError(
                "Poses must be finite in float32; leave out the steps that "
                f"are not. {received} with {sequence[step, feature]} at "
                f"step={step}, feature={feature}."
            )
