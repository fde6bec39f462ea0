"""The latents of each step given the whole sequence."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_fivo.axes import batch_first, zero_beyond
from keras_fivo.bounds import Bound
from keras_fivo.cells import LatentCell, LinearGaussianCell
from keras_fivo.inference.particle_smoothing import (
    filtered_particles,
    fixed_lag,
    simulate_backward,
    trace_paths,
)
from keras_fivo.noise import Noise, Source, check_noise
from keras_fivo.seeds import stream
from keras_fivo.smc import FilterResult
from keras_fivo.types import Tensor

METHODS = ("ancestral", "backward", "exact", "fixed_lag")


@dataclass(frozen=True)
class SmoothingResult:
    """Latents given their whole sequence, p(z_t | x_1:T).

    All entries of steps beyond a sequence's length are zero. Where all
    particles of a sequence died, its entries are NaN.

    Attributes:
        samples: `(batch, num_samples, time, latent_dim)`. Whole paths, of
            each sequence from its own last step back; of `"fixed_lag"`,
            independent samples of each step's marginal, which make no path.
        means: `(batch, time, latent_dim)`. Of `"exact"` the posterior's; of
            the others those of the weighted particles, which the samples
            are drawn from.
        standard_deviations: `(batch, time, latent_dim)`. Likewise.
        log_evidence: `(batch,)`. log p(x_1:T), in nats: exact, or the
            filter's estimate.
        lengths: Int32 `(batch,)`. Number of steps of each sequence.
        method: `"ancestral"`, `"fixed_lag"`, `"backward"` or `"exact"`.
        covariances: `(batch, time, latent_dim, latent_dim)` of `"exact"`;
            None for the others.
    """

    samples: Tensor
    means: Tensor
    standard_deviations: Tensor
    log_evidence: Tensor
    lengths: Tensor
    method: str
    covariances: Tensor | None = None


@dataclass(frozen=True)
class Smoother:
    """A method of smoothing, checked against a cell.

    - `"ancestral"`: paths of the last particles through their ancestors, for
      any cell. Early steps are left with few different ancestors.
    - `"fixed_lag"`: each step's marginal from its particles that live on
      `lag` steps later, for any cell: biased by what comes after that.
    - `"backward"`: forward filtering, backward simulation, for cells whose
      latents are Markov given the observations.
    - `"exact"`: without a filter, for linear Gaussian cells. The same noise
      under more padding gives other samples of the same posterior.

    Attributes:
        cell: A `LatentCell`.
        method: One of these.
        bound: The filter; `"exact"` has none.
        lag: Number of later steps that `"fixed_lag"` looks at.

    Raises:
        ValueError: For an unknown method, one that the cell does not allow,
            or a lag where there must be none, or the reverse.
    """

    cell: LatentCell
    method: str
    bound: Bound
    lag: int | None = None

    def __post_init__(self) -> None:
        name, method = type(self.cell).__name__, self.method
        if method not in METHODS:
            raise ValueError(
                f"`method` must be one of {list(METHODS)}. "
                f"Received: method={method!r}"
            )
        if method == "backward" and not self.cell.latents_are_markov:
            raise ValueError(
                "Backward simulation weighs each z_t by p(z_{t+1} | z_t), so "
                "latents must be a Markov chain given the observations. The "
                f"states of {name} depend on the whole path of latents, not "
                "on the last one alone, or it does not say otherwise by "
                f"`latents_are_markov`. Received: method={method!r}, "
                f"cell={name}. Use 'ancestral' or 'fixed_lag'."
            )
        if method == "exact" and not isinstance(self.cell, LinearGaussianCell):
            raise ValueError(
                "Only of linear Gaussian cells is the posterior known in "
                f"closed form. Received: method={method!r}, cell={name}. Use "
                "'ancestral', 'fixed_lag' or 'backward'."
            )
        self._check_lag()

    def _check_lag(self) -> None:
        lag, wanted = self.lag, self.method == "fixed_lag"
        whole = isinstance(lag, int) and not isinstance(lag, bool) and lag >= 0
        if wanted != (lag is not None) or (wanted and not whole):
            raise ValueError(
                "`lag` must be an integer of 0 or more for the method "
                "'fixed_lag', and not be given for others. "
                f"Received: lag={lag!r}, method={self.method!r}"
            )

    def draw(
        self, num_steps: int, batch: int, num_samples: int, seed: Any = None
    ) -> dict:
        """Draws all random numbers of a pass.

        Returns:
            A dict of `smoothing`: uniforms that choose particles,
            `(batch, num_samples)` for `"ancestral"` and `(batch, time,
            num_samples)` for `"fixed_lag"` and `"backward"`; for `"exact"`
            standard Normal, `(batch, time, num_samples, latent_dim)`. And
            but for `"exact"`, of `filter`, as from `Bound.draw`.
        """
        found = {}
        if self.method != "exact":
            found["filter"] = self.bound.draw(
                self.cell, num_steps, batch, stream(seed, "filter")
            )
        own = self._sources(num_steps, batch, num_samples)
        return {**found, **Noise.draw(own, seed).arrays()}

    def check_noise(
        self,
        noise: dict,
        num_steps: int,
        batch: int,
        num_samples: int,
        seed: Any = None,
    ) -> None:
        """Refuses noise that is not as from `draw`, and a seed beside it.

        Raises:
            ValueError: If it is not.
        """
        names = {"smoothing"}
        if self.method != "exact":
            names.add("filter")
        if set(noise) != names:
            raise ValueError(
                f"`noise` must be a dict of {sorted(names)}. "
                f"Received: noise with {sorted(noise)}"
            )
        own = self._sources(num_steps, batch, num_samples)
        check_noise(noise, own, "Smoother.draw", seed)
        if "filter" in noise:
            sources = self.bound.sources(self.cell, num_steps, batch)
            check_noise(noise["filter"], sources, "bound.draw")

    def _sources(self, num_steps: int, batch: int, num_samples: int) -> dict:
        """Returns what the noise of smoothing itself is drawn from."""
        rows = (num_steps, batch, num_samples)
        if self.method == "exact":
            source = Source.of("normal", *rows, self.cell.latent_dim)
        elif self.method == "ancestral":
            source = Source.of("uniform", batch, num_samples)
        else:
            source = Source.of("uniform", *rows)
        return {"smoothing": source}

    def __call__(self, inputs: dict, noise: dict) -> dict:
        """Smooths a batch of sequences.

        Args:
            inputs: As from `prepare_inputs`.
            noise: As from `draw`.

        Returns:
            A dict of the fields of `SmoothingResult` but for `method`.
        """
        if self.method == "exact":
            return _exact(self.cell, inputs, noise["smoothing"])
        drawn = Noise.from_arrays(noise)
        result = self.bound.run(self.cell, inputs, drawn, keep_state=False)
        particles = filtered_particles(result)
        uniforms = drawn.smoothing
        if self.method == "ancestral":
            found = trace_paths(particles, uniforms)
        elif self.method == "fixed_lag":
            found = fixed_lag(particles, uniforms, self.lag or 0)
        else:
            found = simulate_backward(self.cell, inputs, particles, uniforms)
        return _summary(result, *found)


def _summary(
    result: FilterResult, samples: Tensor, particles: Tensor, weights: Tensor
) -> dict:
    """Returns the fields of the result, from samples and weighted particles."""
    alive = ops.all(ops.sum(weights, axis=2) > 0, axis=0)
    weights = ops.expand_dims(weights, -1)
    means = ops.sum(weights * particles, axis=2)
    distances = ops.square(particles - ops.expand_dims(means, 2))
    deviations = ops.sqrt(ops.sum(weights * distances, axis=2))
    found = {
        "samples": batch_first(samples),
        "means": batch_first(means),
        "standard_deviations": batch_first(deviations),
    }
    for name, value in found.items():
        shape = (-1,) + (1,) * (len(value.shape) - 1)
        nothing = ops.full_like(value, float("nan"))
        found[name] = ops.where(ops.reshape(alive, shape), value, nothing)
    found = {name: zero_beyond(result.active, x) for name, x in found.items()}
    found["samples"] = ops.swapaxes(found["samples"], 1, 2)
    return {
        **found,
        "log_evidence": result.log_evidence,
        "lengths": result.lengths,
    }


def _exact(cell: LinearGaussianCell, inputs: dict, noise: Tensor) -> dict:
    given = {k: batch_first(x) for k, x in inputs.items() if k != "left_out"}
    active = given["active"]
    posterior = cell.posterior(
        given["observations"], given["observed"], given.get("controls")
    )
    found = posterior.smoothed()
    variances = ops.diagonal(found.covariances, axis1=-2, axis2=-1)
    samples = posterior.sample(noise)
    return {
        "samples": ops.swapaxes(zero_beyond(active, samples), 1, 2),
        "means": zero_beyond(active, found.means),
        "standard_deviations": zero_beyond(active, ops.sqrt(variances)),
        "log_evidence": found.log_evidence,
        "lengths": ops.sum(ops.cast(active, "int32"), axis=1),
        "covariances": zero_beyond(active, found.covariances),
    }
