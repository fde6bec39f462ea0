"""Sequences that are simulated from a chain of latents."""

import dataclasses
import hashlib

import numpy as np

SPLITS = ("train", "valid", "test")
TRANSITIONS = {"standard": lambda latent: latent, "round": np.round}
OBSERVATIONS = {
    "standard": lambda latent: latent,
    "abs": np.abs,
    "squared": np.square,
}


@dataclasses.dataclass(frozen=True)
class Process:
    """What is simulated: a diffusion that is observed now and then.

    z_t ~ N(f(z_{t-1}), transition_variance), and after every
    `steps_per_observation` of these steps x ~ N(g(z_t),
    observation_variance).

    The code of the FIVO paper draws a latent before the first one and leaves
    it out of its model: then its exact likelihood is not that of its data.
    Here z_0 is 0 unless `extra_latent`, and the model is told of it if not.

    Attributes:
        transition_type: str. f: `"standard"` leaves z as it is, `"round"`
            rounds it.
        observation_type: str. g: `"standard"`, `"abs"` or `"squared"`.
        steps_per_observation: int.
        transition_variance: float. Of one step of the latent.
        observation_variance: float.
        extra_latent: bool. Whether z_0 ~ N(0, observation_variance), as in
            the original, and not 0.

    Raises:
        ValueError: A value that there is not.
    """

    transition_type: str = "standard"
    observation_type: str = "standard"
    steps_per_observation: int = 1
    transition_variance: float = 0.1
    observation_variance: float = 0.1
    extra_latent: bool = False

    def __post_init__(self):
        for name, known in (
            ("transition_type", TRANSITIONS),
            ("observation_type", OBSERVATIONS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(
                    f"`{name}` is one of {', '.join(known)}. "
                    f"Received: {name}={value!r}."
                )
        steps = self.steps_per_observation
        if steps != int(steps) or steps < 1:
            raise ValueError(
                "`steps_per_observation` must be an integer of 1 or more. "
                f"Received: steps_per_observation={steps!r}."
            )
        for name in ("transition_variance", "observation_variance"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive. "
                    f"Received: {name}={getattr(self, name)!r}."
                )

    @property
    def is_linear(self):
        """Whether the linear Gaussian chain is the model of these data."""
        kinds = (self.transition_type, self.observation_type)
        return kinds == ("standard", "standard")

    def chain_arguments(self):
        """The arguments of `keras_fivo.GHMMCell` that make it the model.

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

    def noise_size(self, num_steps):
        """Random numbers of a sequence of so many observations."""
        return 1 + num_steps * (self.steps_per_observation + 1)

    def simulate(self, noise):
        """Sequences as a function of their noise.

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
        move = TRANSITIONS[self.transition_type]
        see = OBSERVATIONS[self.observation_type]
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
        process: `Process`.
        num_steps: int. Observations of each sequence.
        num_sequences: int. Of the train split; `valid` and `test` have a
            quarter of it each.
        seed: int. Of the simulation.
    """

    def __init__(self, process, num_steps=20, num_sequences=1024, seed=0):
        for name, value in (
            ("num_steps", num_steps),
            ("num_sequences", num_sequences),
        ):
            if value < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {name}={value}."
                )
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

    def split(self, name):
        """The sequences of a split, a list of float32 `(steps, 1)`."""
        return list(self._observations[name])

    def latents(self, name):
        """The latents behind the sequences, a list of float32 `(steps, 1)`."""
        return list(self._latents[name])

    def digest(self):
        """What tells one data set from another."""
        found = hashlib.sha256()
        for split in SPLITS:
            found.update(np.ascontiguousarray(self._observations[split]))
        return found.hexdigest()[:16]


def independent_normal_baseline(chains, split="test"):
    """How well one Normal predicts each observation by itself.

    Args:
        chains: `Chains`.
        split: str. Default: `"test"`.

    Returns:
        float. Nats per step, of the mean and variance of the train split.
    """
    train = np.concatenate(chains.split("train")).astype("float64")
    values = np.concatenate(chains.split(split)).astype("float64")
    mean, variance = train.mean(), train.var()
    distances = np.square(values - mean) / variance
    return float(np.mean(-0.5 * (np.log(2 * np.pi * variance) + distances)))
