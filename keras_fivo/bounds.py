"""Three bounds on the log evidence, side by side."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_fivo.axes import number_steps
from keras_fivo.checks import check_count
from keras_fivo.inputs import prepare_inputs
from keras_fivo.lookup import Configurable, find
from keras_fivo.noise import Noise, Source, check_noise
from keras_fivo.smc import (
    Criterion,
    FilterResult,
    Never,
    ResamplingScheme,
    get_criterion,
    get_scheme,
    kl_inputs,
    log_mean_exp,
    particle_filter,
)
from keras_fivo.twists import TwistedCell
from keras_fivo.types import SeedLike, Tensor


class Bound(Configurable):
    """A lower bound on the log evidence log p(x_1:T), as a particle filter.

    Args:
        num_particles: Number of particles of each sequence.
        scheme: How to resample: an object, or `"multinomial"`,
            `"stratified"`, `"systematic"` or `"relaxed"`.
        criterion: When to resample: an object, or
            `"effective_sample_size"`, `"always"` or `"never"`.
    """

    def __init__(self, num_particles: int, scheme: Any, criterion: Any) -> None:
        self.num_particles = check_count("num_particles", num_particles)
        self.scheme: ResamplingScheme = get_scheme(scheme)
        self.criterion: Criterion = get_criterion(criterion)

    analytic_kl = False
    """Whether KL(q || p) in closed form stands for log q(z_t) - log p(z_t)."""

    average: Callable[[Tensor], Tensor] = staticmethod(log_mean_exp)
    """Log-weights `(batch, particles)` to the bound's last term."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"num_particles": self.num_particles}

    def draw(
        self,
        cell: Any,
        num_steps: int,
        batch: int,
        seed: SeedLike = None,
        training: bool = False,
    ) -> dict:
        """Draws all the random numbers of a pass.

        Args:
            cell: The `LatentCell` to run.
            num_steps: Number of time steps.
            batch: Number of sequences.
            seed: Seed, or seed generator; or a NumPy generator, whose numbers
                are the same on all backends.
            training: Whether dropout masks are drawn too.

        Returns:
            A dict of `latent`, `(batch, time, particles, *noise_shape)`;
            `proposal`, `(batch, time, particles, ...)`, if the cell's proposal
            has noise of its own; `resampling`, `(batch, time, ...)` in the
            scheme's shape, unless the criterion is `Never`; and `dropout`, a
            dict of uniforms `(batch, size)`, if the cell has dropout and
            `training`.
        """
        sources = self.sources(cell, num_steps, batch, training)
        return Noise.draw(sources, seed).arrays()

    def sources(
        self, cell: Any, num_steps: int, batch: int, training: bool = False
    ) -> dict:
        """Returns what the noise of a pass is drawn from; see `Noise.draw`.

        Args:
            cell: The `LatentCell` to run.
            num_steps: Number of time steps.
            batch: Number of sequences.
            training: Whether dropout masks are drawn too.
        """
        shape, count = (num_steps, batch), self.num_particles
        rows = (*shape, count)
        sources: dict[str, Any] = {
            "latent": Source.of(cell.noise, *rows, *cell.noise_shape)
        }
        own = cell.proposal.noise_shape(cell.noise_shape)
        if own is not None:
            sources["proposal"] = Source.of("normal", *rows, *own)
        if not isinstance(self.criterion, Never):
            sources["resampling"] = Source(
                (*shape, *self.scheme.noise_shape(count)),
                lambda seed: self.scheme.draw(shape, count, seed),
            )
        masks = cell.dropout_sizes() if training else {}
        if masks:
            sources["dropout"] = {
                name: Source.of("uniform", batch, size)
                for name, size in masks.items()
            }
        return sources

    def __call__(
        self,
        cell: Any,
        observations: Any,
        mask: Tensor | None = None,
        noise: dict | None = None,
        state: dict | None = None,
        *,
        controls: Tensor | None = None,
        lengths: Tensor | None = None,
        seed: SeedLike = None,
    ) -> FilterResult:
        """Runs the filter over a batch of sequences.

        Args:
            cell: A built `LatentCell`.
            observations: `(batch, time, features)`.
            mask: Bool `(batch, time)` or `(batch, time, features)`, True =
                observed. Steps after the last observed one do not count.
            noise: As from `draw`; drawn from `seed` if not given.
            state: The `state` of an earlier result, to go on from there.
            controls: `(batch, time, controls)`, exogenous inputs.
            lengths: Int `(batch,)`, where the mask does not tell them.
            seed: Seed, or seed generator, for the noise.

        Returns:
            A `FilterResult`; its `log_evidence` is the bound.
        """
        data = {
            "observations": observations,
            "mask": mask,
            "controls": controls,
            "lengths": lengths,
        }
        inputs = prepare_inputs(data, cell.center)
        given = None
        if noise is not None:
            sources = self.sources(cell, *ops.shape(inputs["active"]))
            check_noise(noise, sources, "bound.draw", seed)
            given = Noise.from_arrays(noise)
        return self.run(cell, inputs, given, state, seed=seed)

    def run(
        self,
        cell: Any,
        inputs: dict,
        noise: Noise | None = None,
        state: dict | None = None,
        *,
        seed: SeedLike = None,
        training: bool = False,
        keep_paths: bool = True,
        keep_state: bool = True,
        kl_weight: Any = None,
    ) -> FilterResult:
        """Runs the filter over inputs and noise that have time first.

        Args:
            cell: A built `LatentCell`.
            inputs: As from `prepare_inputs`.
            noise: All random numbers; drawn from `seed` if not given.
            state: The `state` of an earlier result; with a `learner`, its
                proposal learns in each step.
            seed: Seed, or seed generator, where noise is not given.
            training: Whether dropout masks are drawn.
            keep_paths: Whether latents and ancestors are returned.
            keep_state: Whether the result's state is each sequence's own.
            kl_weight: See `kl_inputs`. Below one there is no lower bound.
        """
        num_steps, batch = ops.shape(inputs["active"])
        if noise is None:
            sources = self.sources(cell, num_steps, batch, training)
            noise = Noise.draw(sources, seed)
        if state is None:
            state = self.initial_state(cell, batch)
        inputs = {**inputs, **noise.present("dropout")}
        twist = self._twist_of(cell, keep_paths)
        model_inputs, observed_state = _encode(cell, inputs, state, twist)
        kl = kl_inputs(inputs["active"], self.analytic_kl, kl_weight)
        result = particle_filter(
            cell if twist is None else twist,
            _filter_state(state, twist),
            {
                "model": {**model_inputs, **kl},
                "active": inputs["active"],
                "step": model_inputs["step"],
            },
            noise,
            num_particles=self.num_particles,
            scheme=self.scheme,
            criterion=self.criterion,
            average=self.average,
            keep_paths=keep_paths,
            keep_state=keep_state,
        )
        left_out = ops.where(result.lengths > 0, 0, state["left_out"])
        carried = {
            **result.state,
            "observed": observed_state,
            "step": state["step"] + result.lengths,
            "left_out": left_out + inputs.get("left_out", 0),
        }
        if twist is not None:
            carried["particles"] = twist.unwrap(carried["particles"])
        return replace(result, state=carried)

    def _twist_of(self, cell: Any, keep_paths: bool) -> TwistedCell | None:
        """Wraps the cell for its twist, unless that could change nothing."""
        if cell.twist is None:
            return None
        if isinstance(self.criterion, Never) and not keep_paths:
            return None
        return TwistedCell(cell, self.scheme.blends)

    def initial_state(self, cell: Any, batch: int) -> dict:
        """Returns the state before the first step."""
        return {
            "particles": cell.get_initial_state(batch * self.num_particles),
            "log_weights": ops.zeros((batch, self.num_particles)),
            "log_evidence": ops.zeros((batch,)),
            "observed": cell.initial_observed_state(batch),
            "step": ops.zeros((batch,), "int32"),
            "left_out": ops.zeros((batch,), "int32"),
        }


@keras.saving.register_keras_serializable(package="keras_fivo")
class ELBO(Bound):
    """The evidence lower bound: one particle, never resampled.

    Args:
        num_particles: Number of independent one-particle bounds whose mean
            is taken; more of them lower the variance, not the gap.
        analytic_kl: Whether KL(q || p) is taken in closed form.
    """

    average = staticmethod(lambda log_weights: ops.mean(log_weights, axis=-1))

    def __init__(
        self, num_particles: int = 1, analytic_kl: bool = False
    ) -> None:
        super().__init__(num_particles, "multinomial", "never")
        self.analytic_kl = bool(analytic_kl)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "analytic_kl": self.analytic_kl}


@keras.saving.register_keras_serializable(package="keras_fivo")
class IWAE(Bound):
    """The importance weighted bound: many particles, never resampled.

    Args:
        num_particles: Number of particles.

    Reference:
        Burda et al., 2016, "Importance Weighted Autoencoders".
    """

    def __init__(self, num_particles: int = 4) -> None:
        super().__init__(num_particles, "multinomial", "never")


@keras.saving.register_keras_serializable(package="keras_fivo")
class FIVO(Bound):
    """The filtering bound: many particles, resampled by a criterion.

    The mean of its values is a lower bound on the log evidence, unless the
    scheme is relaxed. Gradients do not flow through the choice of
    ancestors.

    Args:
        num_particles: Number of particles.
        scheme: How to resample: an object, or `"multinomial"`,
            `"stratified"`, `"systematic"` or `"relaxed"`.
        criterion: When to resample: an object, or
            `"effective_sample_size"` (at or below half the particles),
            `"always"` or `"never"`.

    Reference:
        Maddison et al., 2017, "Filtering Variational Objectives".
    """

    def __init__(
        self,
        num_particles: int = 4,
        scheme: Any = "systematic",
        criterion: Any = "effective_sample_size",
    ) -> None:
        super().__init__(num_particles, scheme, criterion)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        scheme, criterion = serialize(self.scheme), serialize(self.criterion)
        config = {"scheme": scheme, "criterion": criterion}
        return {**super().get_config(), **config}


def _filter_state(state: dict, twist: TwistedCell | None) -> dict:
    names = ("particles", "log_weights", "log_evidence", "learner")
    found = {name: state[name] for name in names if name in state}
    if twist is not None:
        found["particles"] = twist.wrap(found["particles"])
    return found


def _encode(
    cell: Any, inputs: dict, state: dict, twist: TwistedCell | None
) -> tuple[dict, dict]:
    """Computes what is known before the loop, and the observed state."""
    past, present, observed_state = cell.encode(inputs, state["observed"])
    num_steps, batch = ops.shape(inputs["active"])
    steps = number_steps(num_steps, batch, state["step"])
    numbered = {**past, "step": steps}
    encoded = {
        "past": past,
        "present": cell.look_ahead(numbered, present, inputs),
        "step": steps,
        "observations": inputs["observations"],
        "observed": inputs["observed"],
    }
    if twist is not None:
        encoded["twist"] = twist.inputs(numbered, present, inputs)
    return encoded, observed_state


_BOUNDS: dict[str, type[Bound]] = {"elbo": ELBO, "iwae": IWAE, "fivo": FIVO}


def get_bound(identifier: Any, argument: str = "bound") -> Bound:
    """Returns a bound from an object or a name; see `find`."""
    return find(identifier, _BOUNDS, Bound, argument)
