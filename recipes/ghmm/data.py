"""Sequences that are simulated from a chain of latents."""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from recipes.data.splits import SPLITS
from recipes.settings.base import Positive, PositiveFloat, Settings

_TRANSITIONS = {"standard": lambda latent: latent, "round": np.round}
_OBSERVATIONS = {
    "standard": lambda latent: latent,
    "abs": np.abs,
    "squared": np.square,
}


class Process(Settings):
    """What is simulated: a diffusion that is observed now and then.

    z_t ~ N(f(z_{t-1}), transition_variance), and after every
    `steps_per_observation` of these steps x ~ N(g(z_t),
    observation_variance).

    The code of the FIVO paper draws a latent before the first one and leaves
    it out of its model: then its exact likelihood is not that of its data.
    Here z_0 is 0 unless `extra_latent`, and the model is told of it if not.
    """

    heading: ClassVar[str] = "Process"
    steps_per_observation: Positive = 1
    """Number of steps of the latent for each observation."""
    transition_type: Literal["standard", "round"] = "standard"
    """Where the next latent is centred: `standard` at this one, `round` at
    this one rounded to an integer."""
    observation_type: Literal["standard", "abs", "squared"] = "standard"
    """Where an observation is centred: at the latent, at its absolute value,
    or at its square."""
    transition_variance: PositiveFloat = 0.1
    """Variance of one step of the latent."""
    observation_variance: PositiveFloat = 0.1
    """Variance of an observation."""
    extra_latent: bool = False
    """Whether z_0 is drawn from N(0, observation_variance), as in the data of
    the original code, and not 0."""

    @property
    def is_linear(self) -> bool:
        """Whether the linear Gaussian chain is the model of these data."""
        kinds = (self.transition_type, self.observation_type)
        return kinds == ("standard", "standard")

    def chain_arguments(self) -> dict[str, Any]:
        """Returns the arguments that make a `keras_fivo.GHMMCell` the model.

        Latents that are not observed are integrated out: between two
        observations the variances of the steps add up. For rounded latents,
        and absolute or squared observations, this is the model of the
        standard data.
        """
        between = self.steps_per_observation * self.transition_variance
        first = between
        if self.extra_latent:
            first = between + self.observation_variance
        return {
            "transition_variance": between
            if first == between
            else [first, between],
            "emission_variance": self.observation_variance,
        }

    def noise_size(self, num_steps: int) -> int:
        """Returns how many random numbers a sequence takes."""
        return 1 + num_steps * (self.steps_per_observation + 1)

    def simulate(self, noise: Any) -> tuple[np.ndarray, np.ndarray]:
        """Simulates sequences as a function of their noise.

        Args:
            noise: `(sequences, noise_size(num_steps))`, standard Normal: of
                z_0 (of no use without `extra_latent`), and for each
                observation of the latents before it and of itself. In this
                order the original draws.

        Returns:
            Latents at the observations, and observations, each float32
            `(sequences, num_steps, 1)`.
        """
        noise = np.asarray(noise, "float64")
        group = self.steps_per_observation + 1
        groups = noise[:, 1:].reshape(len(noise), -1, group)
        move = _TRANSITIONS[self.transition_type]
        see = _OBSERVATIONS[self.observation_type]
        step_deviation = np.sqrt(self.transition_variance)
        deviation = np.sqrt(self.observation_variance)
        latent = noise[:, 0] * deviation * self.extra_latent
        latents, observations = [], []
        for now in groups.swapaxes(0, 1):
            for step in range(self.steps_per_observation):
                latent = move(latent) + step_deviation * now[:, step]
            latents.append(latent)
            observations.append(see(latent) + deviation * now[:, -1])
        return tuple(
            np.stack(values, axis=1)[..., None].astype("float32")
            for values in (latents, observations)
        )


class Chains:
    """A data set of simulated sequences of one length.

    Args:
        process: What is simulated.
        num_steps: Number of observations of each sequence.
        num_sequences: Number of sequences of the train split; `valid` and
            `test` have a quarter of it each.
        seed: Seed of the simulation.
    """

    def __init__(
        self,
        process: Process,
        num_steps: int = 20,
        num_sequences: int = 1024,
        seed: int = 0,
    ):
        self.process = process
        self._latents, self._observations = {}, {}
        quarter = max(1, num_sequences // 4)
        for index, split in enumerate(SPLITS):
            count = num_sequences if split == "train" else quarter
            generator = np.random.default_rng([seed, index])
            noise = generator.standard_normal(
                (count, process.noise_size(num_steps))
            )
            latents, observations = process.simulate(noise)
            self._latents[split] = latents
            self._observations[split] = observations

    def split(self, name: str) -> Sequence[np.ndarray]:
        """Returns the sequences of a split, float32 `(steps, 1)`."""
        return list(self._observations[name])

    def latents(self, name: str) -> Sequence[np.ndarray]:
        """Returns the latents behind the sequences, float32 `(steps, 1)`."""
        return list(self._latents[name])

    def digest(self) -> str:
        """Returns what tells one data set from another."""
        found = hashlib.sha256()
        for split in SPLITS:
            found.update(np.ascontiguousarray(self._observations[split]))
        return found.hexdigest()[:16]


def independent_normal_baseline(chains: Chains, split: str = "test") -> float:
    """Returns the nats per step of one Normal, fitted to the train split."""
    train = np.concatenate(chains.split("train")).astype("float64")
    values = np.concatenate(chains.split(split)).astype("float64")
    mean, variance = train.mean(), train.var()
    distances = np.square(values - mean) / variance
    return float(np.mean(-0.5 * (np.log(2 * np.pi * variance) + distances)))
