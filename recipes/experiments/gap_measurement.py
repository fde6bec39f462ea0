"""Means of bounds against the exact log evidence."""

import dataclasses
import zlib

import keras
import numpy as np
from keras import ops

import keras_fivo as kf
from recipes.data.sequence_dataset import SequenceDataset, SetEpoch
from recipes.ghmm.config import LEARNED
from recipes.ghmm.models import (
    build_cell,
    build_proposal,
    exact_log_evidence,
)
from recipes.training.modelling import build_bound

BOUNDS = ("elbo", "iwae", "fivo")

# Of a pass of FIVO: sequences x particles x particles.
_BUDGET = 2**24


@dataclasses.dataclass(frozen=True)
class Gap:
    """By how much the mean of a bound is below the log evidence.

    Attributes:
        bound: str. `"elbo"`, `"iwae"` or `"fivo"`.
        proposal: Name of the proposal.
        num_particles: Number of particles.
        mean: float. Mean of log evidence - bound over sequences, in nats.
        error: float. Standard error of that mean, in nats.
        rounding: float. What float32 may add to the mean, in nats.
    """

    bound: str
    proposal: str
    num_particles: int
    mean: float
    error: float
    rounding: float

    @property
    def excess(self):
        """Standard errors by which the bound is above the log evidence."""
        above = -self.mean - self.rounding
        if above <= 0:
            return 0.0
        return above / self.error if self.error > 0 else float("inf")


def exact_values(chains, observations):
    """Returns log p(x_1:T), float64 `(sequences,)`, in nats."""
    model = kf.LatentSequenceModel(build_cell(chains.process, "transition"))
    return exact_log_evidence(model, observations)


def trained_model(chains, bound, proposal, settings):
    """Returns the chain with a proposal, trained with a bound if it learns.

    Args:
        chains: `Chains`.
        bound: str. What it is trained with.
        proposal: Name of the proposal.
        settings: `recipes.experiments.gaps.GapSettings`.

    Returns:
        `keras_fivo.LatentSequenceModel`.
    """
    keras.utils.set_random_seed(settings.seed)
    num_steps = len(chains.split("train")[0])
    particles = 1 if bound == "elbo" else settings.train_particles
    model = kf.LatentSequenceModel(
        build_cell(chains.process, build_proposal(proposal, num_steps)),
        bound=build_bound(bound, particles, settings),
        seed=_seed(settings.seed, bound, proposal),
    )
    if proposal not in LEARNED:
        return model
    batches = SequenceDataset(
        chains.split("train"),
        settings.batch_size,
        seed=settings.seed,
        num_buckets=1,
        length_multiple=1,
        drop_remainder=True,
    )
    model.adapt(batches, scale=False)
    epochs = max(1, round(settings.updates / len(batches)))
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, epochs * len(batches)
    )
    model.compile(keras.optimizers.Adam(schedule))
    model.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[SetEpoch(batches)],
    )
    return model


def _seed(seed, bound, proposal):
    """Returns one for each model, whose noise tells nothing of the others'."""
    return seed + 1000 * zlib.crc32(f"{bound} {proposal}".encode()) % 2**31


def measure(model, bound, proposal, observations, exact, settings):
    """Returns the gaps of one model, for each number of particles.

    Without resampling one pass of all particles gives the bounds of fewer:
    those of its groups. So each sequence has as many values of a bound, of
    which it counts the mean, as there are groups.

    Args:
        model: As from `trained_model`.
        bound: Name of the bound.
        proposal: Name of the proposal.
        observations: `(sequences, steps, 1)`.
        exact: Their log evidence, as from `exact_values`.
        settings: `recipes.experiments.gaps.GapSettings`.

    Returns:
        A list of `Gap`.
    """
    found, particles = [], settings.particles
    if bound != "fivo":
        weights = _last_log_weights(model, observations, particles[-1])
    for number in particles:
        if bound == "elbo":
            # The mean of so many bounds of one particle.
            values = weights.reshape(len(weights), -1, number).mean(-1)
        elif bound == "iwae":
            values = _log_mean_exp(weights.reshape(len(weights), -1, number))
        else:
            values = _fivo(model, observations, number, settings)
        found.append(_gap(bound, proposal, number, exact, values))
    return found


def _last_log_weights(model, observations, number):
    result = model.filter(observations, kf.IWAE(number))
    return ops.convert_to_numpy(result.log_weights)[:, -1].astype("float64")


def _fivo(model, observations, number, settings):
    """Returns values `(sequences, repetitions)`, more of few particles."""
    bound = build_bound("fivo", number, settings)
    repetitions = max(1, min(8, 256 // number))
    rows = np.repeat(observations, repetitions, axis=0)
    # Resampling takes the square of the particles in memory.
    passes = -(-len(rows) * number**2 // _BUDGET)
    values = [
        ops.convert_to_numpy(model.filter(part, bound).log_evidence)
        for part in np.array_split(rows, min(passes, len(rows)))
    ]
    values = np.concatenate(values).astype("float64")
    return values.reshape(len(observations), repetitions)


def _gap(bound, proposal, number, exact, values):
    gaps = exact - values.mean(axis=1)
    return Gap(
        bound,
        proposal,
        number,
        mean=float(gaps.mean()),
        error=float(gaps.std(ddof=1) / np.sqrt(len(gaps))),
        # Sums of some sixty terms of this size, each rounded.
        rounding=float(np.finfo("float32").eps * np.abs(exact).mean() * 8),
    )


def _log_mean_exp(values):
    largest = values.max(axis=-1)
    weights = np.exp(values - largest[..., None])
    return largest + np.log(weights.mean(axis=-1))
