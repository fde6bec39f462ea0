"""A proposal that is refined by the gradient of its own free energy."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_count
from keras_fivo.distributions import (
    Distribution,
    MultivariateNormal,
    Normal,
    analytic_kl,
)
from keras_fivo.lookup import find
from keras_fivo.networks import Sizes
from keras_fivo.proposals.exact import (
    ExactFilteringProposal,
    ExactSmoothingProposal,
)
from keras_fivo.proposals.filtering import FilteringProposal
from keras_fivo.proposals.proposal import Proposal
from keras_fivo.proposals.smoothing import SmoothingProposal
from keras_fivo.proposals.transition import TransitionProposal
from keras_fivo.proposals.updates import Refinable, get_update
from keras_fivo.types import Nested, Shape, Tensor

STARTS: dict[str, type[Proposal]] = {
    "transition": TransitionProposal,
    "filtering": FilteringProposal,
    "smoothing": SmoothingProposal,
    "exact_filtering": ExactFilteringProposal,
    "exact_smoothing": ExactSmoothingProposal,
}


@keras.saving.register_keras_serializable(package="keras_fivo")
class IterativeProposal(Proposal):
    """q(z_t | ...) that starts at a guess and is refined in each step.

    A diagonal Normal starts at the transition, or where another proposal
    puts it. In each iteration z is drawn from it with noise of its own, and
    `update` moves mean and log-variance by the gradient of the free energy

        F = kl_weight KL(q || p(z_t | past)) - log p(x_t | z, past).

    Where nothing of x_t is observed, q stays the transition. The noise of
    the iterations is apart from that of the latent: given it q is the
    latent's density, so bounds stay bounds. Each particle refines its own q;
    any cell will do whose transition is a Normal, and any emission whose log
    density has a gradient in z.

    Args:
        num_iterations: Number of refinements.
        update: An update, or `"highway"`, `"learned_sgd"` (networks that
            read the gradient) or `"gradient"` (plain steps down).
        start: A proposal whose guess is refined, or its name.
        objective: What moves the weights. `"joint"`: the bound moves all, by
            gradients through z and q. `"em"`: the weights of the model see z
            and q as constants, and those of the proposal minimise the mean
            of F after each refinement, which sees what it reads as
            constants.
        second_order: Whether, in `"joint"`, gradients also flow through the
            gradients that the update reads.
        log_variance_range: Limits of refined log-variances.

    Example:
    ```python
    proposal = kf.IterativeProposal(2, update="learned_sgd", objective="em")
    cell = kf.SRNNCell(latent_dim=32, proposal=proposal)
    ```

    Reference:
        Marino et al., 2018, "A General Method for Amortizing Variational
        Filtering", Algorithm 1.
    """

    def __init__(
        self,
        num_iterations: int = 1,
        update: Any = "highway",
        start: Any = "transition",
        objective: str = "joint",
        second_order: bool = False,
        log_variance_range: Sequence[float] = (-15.0, 5.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_iterations = check_count("num_iterations", num_iterations)
        self.num_evaluations = self.num_iterations + 1
        self.update = get_update(update)
        self.start = find(start, STARTS, Proposal, "start")
        if isinstance(self.start, IterativeProposal):
            raise ValueError(
                "`start` must be a proposal that is not iterative: take more "
                f"iterations instead. Received: start={start!r}"
            )
        if objective not in ("joint", "em"):
            raise ValueError(
                "`objective` must be 'joint' or 'em'. "
                f"Received: objective={objective!r}"
            )
        if second_order and objective == "em":
            raise ValueError(
                "`second_order` needs objective='joint': in 'em' a refinement "
                "sees what it reads as constants. "
                f"Received: second_order={second_order!r}"
            )
        self.objective = objective
        self.second_order = bool(second_order)
        low, high = (float(x) for x in log_variance_range)
        if not low < high:
            raise ValueError(
                "`log_variance_range` must be two increasing numbers. "
                f"Received: log_variance_range={log_variance_range!r}"
            )
        self.log_variance_range = (low, high)

    @property
    def has_own_loss(self) -> bool:  # type: ignore[override]
        """Whether its weights minimise its free energies, not the bound."""
        return self.objective == "em"

    def own_free_energy(self, free_energies: Tensor) -> Tensor:
        """What its weights minimise where they have a loss of their own.

        Args:
            free_energies: `(..., num_iterations + 1)`, in nats.

        Returns:
            `(...)`: the mean over what depends on the weights, which leaves
            out a start that is the transition.
        """
        if isinstance(self.start, TransitionProposal):
            free_energies = free_energies[..., 1:]
        return ops.mean(free_energies, axis=-1)

    @property
    def sees_future(self) -> bool:  # type: ignore[override]
        """Whether the start reads observations after the step."""
        return self.start.sees_future

    @property
    def max_steps(self) -> int | None:
        """Length of the longest sequence that the start takes, if any."""
        return self.start.max_steps

    def noise_shape(self, latent_shape: Shape) -> Shape:
        """That of the latent, for each iteration, and one after the last."""
        return (self.num_evaluations, *latent_shape)

    def build(self, sizes: Sizes) -> None:
        """Creates the weights."""
        self.start.build(sizes)
        observed = self.update.reads == "observation"
        self.update.build(
            sizes.latent_dim,
            sizes.observation_dim if observed else sizes.present_dim,
            sizes.hidden_units,
        )

    def look_ahead(
        self,
        past: Nested,
        present: Tensor,
        inputs: dict,
    ) -> Nested:
        """What the start needs, and what the update reads."""
        found = {"start": self.start.look_ahead(past, present, inputs)}
        if self.update.reads == "observation":
            found["seen"] = inputs["observations"]
        elif self.update.reads:
            found["seen"] = present
        return found

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """The start; see `Proposal.distribution`."""
        return self.start.distribution(context, present["start"], transition)

    def refine(
        self,
        proposal: Distribution,
        transition: Distribution,
        present: Nested,
        noise: Tensor,
        log_emission: Callable[[Tensor], Tensor],
        observed: Tensor,
        kl_weight: Tensor | None = None,
    ) -> tuple[Distribution, Tensor]:
        """Refines the start; see `Proposal.refine`."""
        seen, anything = present.get("seen"), _any_entry(observed)
        prior = _moments(transition, "transition")
        start = _where(anything, _moments(proposal, "start"), prior)
        # Rounded as q is: where both are equal, the gradient is 0 exactly,
        # and no normalisation of inputs makes something of its rounding.
        reference = transition
        if type(transition) is Normal:
            reference = _normal(prior.mean, prior.log_variance)
        if self.has_own_loss and isinstance(self.start, TransitionProposal):
            start = _detached(start)
        now, energies = start, []
        for k in range(self.num_evaluations):

            def free_energy(q: tuple, noise: Tensor = noise[:, k]) -> Tensor:
                normal = _normal(*q)
                kl = analytic_kl(normal, reference)
                kl = kl if kl_weight is None else kl_weight * kl
                energy = kl - log_emission(normal.sample(noise))
                return ops.where(anything, energy, ops.zeros_like(energy))

            last = k == self.num_iterations
            energy, gradient = self._evaluate(free_energy, now, last)
            energies.append(energy)
            if not last:
                new = self._refine_once(now, gradient, seen)
                now = _where(anything, new, start)
        if self.has_own_loss:
            now = _detached(now)
        refined: Any = _normal(now.mean, now.log_variance)
        if isinstance(transition, MultivariateNormal):
            refined = MultivariateNormal.from_normal(refined)
            refined = refined.select(anything, transition)
        return refined, ops.stack(energies, axis=-1)

    def _evaluate(
        self, free_energy: Callable, now: Refinable, last: bool
    ) -> tuple[Tensor, Refinable]:
        """Free energies, whose gradient is that of the proposal's own loss.

        Args:
            free_energy: Mean and log-variance to `(rows,)`.
            now: Where it is evaluated.
            last: Whether nothing reads the gradient but that loss.
        """
        if last and not self.has_own_loss:
            with backend.plainly():
                energy = free_energy((now.mean, now.log_variance))
            return ops.stop_gradient(energy), now
        energy, found = backend.value_and_grad(
            free_energy,
            (now.mean, now.log_variance),
            differentiable=self.second_order,
        )
        # Where the emission has none, as at log 0, q stays.
        finite = [
            ops.where(ops.isfinite(x), x, ops.zeros_like(x)) for x in found
        ]
        gradient, energy = Refinable(*finite), ops.stop_gradient(energy)
        if self.has_own_loss:
            # The value is F; its gradient is known, and taken once.
            energy = energy + _linear_term(now, gradient)
        return energy, gradient

    def _refine_once(
        self, now: Refinable, gradient: Refinable, seen: Tensor | None
    ) -> Refinable:
        if self.has_own_loss:
            now = _detached(now)
        new = self.update.call(now, gradient, seen)
        low, high = self.log_variance_range
        return Refinable(new.mean, ops.clip(new.log_variance, low, high))

    def get_config(self) -> dict:
        """Constructor arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "num_iterations": self.num_iterations,
            "update": serialize(self.update),
            "start": serialize(self.start),
            "objective": self.objective,
            "second_order": self.second_order,
            "log_variance_range": list(self.log_variance_range),
        }
        return {**super().get_config(), **config}


def _normal(mean: Tensor, log_variance: Tensor) -> Normal:
    return Normal(mean, ops.exp(0.5 * log_variance))


def _moments(density: Distribution, which: str) -> Refinable:
    """Means, and logs of the variances of entries.

    Raises:
        TypeError: For what is no Normal.
    """
    if type(density) is Normal:
        return Refinable(density.loc, 2.0 * ops.log(density.scale))
    if isinstance(density, MultivariateNormal):
        factor = density.scale_tril
        variance = ops.sum(ops.square(factor), axis=-1)
        variance = variance + ops.zeros_like(density.loc)
        return Refinable(density.loc, ops.log(variance))
    raise TypeError(
        f"IterativeProposal needs a {which} with mean and variance, a Normal: "
        "it refines those, and takes the KL divergence from the transition "
        f"in closed form. Received: a {which} of class "
        f"{type(density).__name__}. Take another proposal."
    )


def _any_entry(observed: Tensor) -> Tensor:
    """Whether anything of an observation is there, bool `(rows,)`."""
    if len(observed.shape) == 1:
        return observed
    return ops.any(observed, axis=tuple(range(1, len(observed.shape))))


def _where(condition: Tensor, first: Refinable, other: Refinable) -> Refinable:
    rows = ops.expand_dims(condition, -1)
    return Refinable(
        ops.where(rows, first.mean, other.mean),
        ops.where(rows, first.log_variance, other.log_variance),
    )


def _detached(q: Refinable) -> Refinable:
    return Refinable(
        ops.stop_gradient(q.mean), ops.stop_gradient(q.log_variance)
    )


def _linear_term(q: Refinable, gradient: Refinable) -> Tensor:
    """Zero, whose derivative by q is the gradient; `(rows,)`."""
    held = _detached(q)
    moved = gradient.mean * (q.mean - held.mean)
    moved += gradient.log_variance * (q.log_variance - held.log_variance)
    return ops.sum(moved, axis=-1)
