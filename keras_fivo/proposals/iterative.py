"""A proposal that is refined by the gradient of its own free energy."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.axes import any_entry
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
from keras_fivo.proposals.online import OnlineAdam, learned_step
from keras_fivo.proposals.proposal import Proposal, Refinement
from keras_fivo.proposals.refinable import (
    Refinable,
    detached,
    linear_term,
    moments_of,
    normal_of,
    where,
)
from keras_fivo.proposals.smoothing import SmoothingProposal
from keras_fivo.proposals.transition import TransitionProposal
from keras_fivo.proposals.updates import get_update
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
        online: Whether, in `"em"`, the update's weights move after each time
            step of a batch, by Adam of their own at the learning rate of the
            model's optimizer; the other weights move after the batch. They
            are then no trainable variables.
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
        online: bool = False,
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
        if online and not (
            objective == "em" and isinstance(self.start, TransitionProposal)
        ):
            raise ValueError(
                "`online` needs objective='em' and start='transition': no "
                "other weights have a gradient in each step. Received: "
                f"online={online!r}, objective={objective!r}, start={start!r}"
            )
        self.objective = objective
        self.online = bool(online)
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
        """Returns what its weights minimise where they have their own loss.

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
        """Returns that of the latent, once more than there are iterations."""
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
        if self.online:
            if not self.update.variables:
                raise ValueError(
                    "`online` needs an update with weights. "
                    f"Received: update={self.update!r}"
                )
            for variable in self.update.variables:
                variable.trainable = False
            self.optimizer = OnlineAdam(dtype="float32")
            self.optimizer.build([v.shape for v in self.update.variables])

    def learner(self, rate: Any) -> dict | None:
        """Returns the weights that a scan moves; see `Proposal.learner`."""
        if not self.online:
            return None
        return self.optimizer.start(self.update.variables, rate)

    def keep_learner(self, learner: dict) -> None:
        """Takes the weights that a scan has moved; see `Proposal.learner`."""
        self.optimizer.keep(self.update.variables, learner)

    def look_ahead(
        self,
        past: Nested,
        present: Tensor,
        inputs: dict,
    ) -> Nested:
        """Returns what the start needs, and what the update reads."""
        found = {"start": self.start.look_ahead(past, present, inputs)}
        if self.update.reads == "observation":
            seen = inputs["observations"]
            found["seen"] = ops.reshape(seen, (*ops.shape(seen)[:2], -1))
        elif self.update.reads:
            found["seen"] = present
        return found

    def distribution(
        self,
        context: Sequence[Tensor],
        present: Nested,
        transition: Distribution,
    ) -> Distribution:
        """Returns the start; see `Proposal.distribution`."""
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
        learner: dict | None = None,
    ) -> Refinement:
        """Refines the start; see `Proposal.refine`."""
        seen, anything = present.get("seen"), any_entry(observed)
        prior = moments_of(transition, "transition")
        start = where(anything, moments_of(proposal, "start"), prior)
        reference = _rounded(transition, prior)
        if self.has_own_loss and isinstance(self.start, TransitionProposal):
            start = detached(start)
        weights = learner["weights"] if learner else None
        now, energies, read = start, [], []
        for k in range(self.num_evaluations):

            def free_energy(q: tuple, noise: Tensor = noise[:, k]) -> Tensor:
                normal = normal_of(*q)
                kl = analytic_kl(normal, reference)
                kl = kl if kl_weight is None else kl_weight * kl
                energy = kl - log_emission(normal.sample(noise))
                return ops.where(anything, energy, ops.zeros_like(energy))

            last = k == self.num_iterations
            energy, gradient = self._evaluate(free_energy, now, last)
            energies.append(energy)
            read.append((now, gradient))
            if not last:
                new = self._refine_once(now, gradient, seen, weights)
                now = where(anything, new, start)
        if self.has_own_loss:
            now = detached(now)
        refined: Any = normal_of(now.mean, now.log_variance)
        if isinstance(transition, MultivariateNormal):
            refined = MultivariateNormal.from_normal(refined)
            refined = refined.select(anything, transition)
        if learner is not None:
            learner = learned_step(
                self.optimizer, self._refine_once, learner, read, seen, anything
            )
        return Refinement(refined, ops.stack(energies, axis=-1), learner)

    def _evaluate(
        self, free_energy: Callable, now: Refinable, last: bool
    ) -> tuple[Tensor, Refinable]:
        """Computes free energies, whose gradient is that of the own loss.

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
            energy = energy + linear_term(now, gradient)
        return energy, gradient

    def _refine_once(
        self,
        now: Refinable,
        gradient: Refinable,
        seen: Tensor | None,
        weights: list | None = None,
    ) -> Refinable:
        if self.has_own_loss:
            now = detached(now)
        if weights is None:
            new = self.update.call(now, gradient, seen)
        else:
            pairs = zip(self.update.variables, weights, strict=True)
            with backend.plainly(), keras.StatelessScope(pairs):
                new = self.update.call(now, gradient, seen)
        low, high = self.log_variance_range
        return Refinable(new.mean, ops.clip(new.log_variance, low, high))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "num_iterations": self.num_iterations,
            "update": serialize(self.update),
            "start": serialize(self.start),
            "objective": self.objective,
            "online": self.online,
            "second_order": self.second_order,
            "log_variance_range": list(self.log_variance_range),
        }
        return {**super().get_config(), **config}


def _rounded(transition: Distribution, prior: Refinable) -> Distribution:
    """Rounds the transition as q is."""
    # Where both are equal, the gradient is then 0 exactly, and no
    # normalisation of inputs makes something of its rounding.
    if type(transition) is not Normal:
        return transition
    return normal_of(prior.mean, prior.log_variance)
