"""What of log r should carry gradients to the model's weights.

`KERAS_BACKEND=jax python -m tests.twists.gradient_table` prints the table of
docs/twists.md: on a linear Gaussian chain, the gradient that each choice
gives beside differences of the expected bound, on the same noise.
"""

import sys

import keras
import numpy as np
from keras import ops

import keras_fivo as kf
from tests.reference.examples import numpy
from tests.reference.gradients import value_and_gradients

STEPS, SEQUENCES, SHIFT = 6, 50, 0.05
PARAMETERS = {
    "initial_covariance": [[1.0]],
    "transition_matrix": [[0.9]],
    "transition_covariance": [[0.8]],
    "emission_matrix": [[1.2]],
    "emission_covariance": [[0.5]],
}
WEIGHTS = ("transition_matrix", "transition_covariance", "emission_matrix")
KINDS = {
    "all": (True, True),
    "latents": (True, False),
    "parameters": (False, True),
    "none": (False, False),
}
"""Whether log r carries gradients through the latents, and directly."""


class PowerTwist(kf.ExactTwist):
    """The exact twist to a power.

    Args:
        power: The power.
        kind: One of `KINDS`.
        messages: What a chain of other weights says of the future; None:
            the chain itself.
    """

    def __init__(self, power, kind="all", messages=None):
        super().__init__()
        self.power, (self.latents, self.parameters) = power, KINDS[kind]
        self.messages = messages

    def look_ahead(self, past, present, inputs):
        if self.messages is not None:
            return dict(self.messages)
        found = super().look_ahead(past, present, inputs)
        if self.parameters:
            return found
        return keras.tree.map_structure(ops.stop_gradient, found)

    def log_twist(self, context, latent, look_ahead):
        latent = latent if self.latents else ops.stop_gradient(latent)
        return self.power * super().log_twist(context, latent, look_ahead)


def observations():
    """Sequences of a chain that forgets faster than the model's."""
    generator = np.random.default_rng(3)
    latent, found = np.zeros(SEQUENCES), []
    for step in [1.0] + [0.8] * (STEPS - 1):
        noise, error = generator.standard_normal((2, SEQUENCES))
        latent = 0.6 * latent + step**0.5 * noise
        found.append(1.2 * latent + 0.5**0.5 * error)
    return np.stack(found, 1)[..., None].astype("float32")


def chain(proposal, twist):
    """The model, built, with gradients for `WEIGHTS`."""
    fixed = [name for name in PARAMETERS if name not in WEIGHTS]
    fixed += ["initial_mean", "transition_offset", "emission_offset"]
    cell = kf.LinearGaussianCell(
        1, PARAMETERS, fixed=fixed, proposal=proposal, twist=twist
    )
    cell.build((None, None, 1))
    return cell


class Measurement:
    """The gradients of one choice, on the same noise as all others.

    Args:
        proposal: The chain's proposal.
        particles: Number of particles; they are resampled at every step.
        power: That of r.
        kind: One of `KINDS`.
        moves: Whether r is a function of the chain's weights, as an exact
            twist is, or of weights of its own, as a learned one.
        passes: Number of runs.
        repeats: Number of times that each sequence is in a run.
    """

    def __init__(
        self,
        proposal,
        particles,
        power,
        kind="all",
        moves=False,
        passes=16,
        repeats=80,
    ):
        self.passes = passes
        self.batch = SEQUENCES * repeats
        x = np.tile(observations(), (repeats, 1, 1))
        self.bound = kf.FIVO(particles, "multinomial", "always")
        kept = None if moves else _messages(x)
        self.cell = chain(proposal, PowerTwist(power, kind, kept))
        self.compute = value_and_gradients(
            lambda noise: ops.mean(
                self.bound(self.cell, x, noise=noise).log_evidence
            ),
            self.cell.trainable_variables,
        )

    def _runs(self):
        seeds = keras.random.SeedGenerator(1)
        for _ in range(self.passes):
            noise = self.bound.draw(self.cell, STEPS, self.batch, seeds)
            value, found = self.compute(noise)
            yield value, np.array([x.item() for x in found], "float64")

    def gradients(self):
        """`(passes, weights)`: means over the sequences of a pass."""
        return np.array([gradient for _, gradient in self._runs()])

    def differences(self):
        """The same of the expected bound, by shifts of the weights."""
        columns = []
        for variable in self.cell.trainable_variables:
            at, values = numpy(variable.value), []
            for shift in (SHIFT, -SHIFT):
                variable.assign(at + shift)
                values.append(np.array([value for value, _ in self._runs()]))
            variable.assign(at)
            columns.append((values[0] - values[1]) / (2 * SHIFT))
        return np.stack(columns, 1).astype("float64")


def _messages(x):
    """What the chain, as it is, says of the future of each sequence."""
    kept = {}

    class Keeping(kf.ExactTwist):
        def look_ahead(self, past, present, inputs):
            kept.update(super().look_ahead(past, present, inputs))
            return dict(kept)

    kf.FIVO(2, criterion="always")(chain("transition", Keeping()), x, seed=0)
    return kept


def true_gradient():
    """That of the mean log evidence."""
    cell = chain("transition", None)
    compute = value_and_gradients(
        lambda: ops.mean(cell.exact(observations()).log_evidence),
        cell.trainable_variables,
    )
    return np.array([x.item() for x in compute()[1]])


def apart(first, second):
    """The distance of two means, and its standard error."""
    gaps = first - second
    mean, error = gaps.mean(0), gaps.std(0, ddof=1) / len(gaps) ** 0.5
    distance = np.linalg.norm(mean)
    return distance, np.linalg.norm(error * mean) / distance


CASES = [(1, False), (2, False), (-1, False), (1, True), (2, True)]


def row(proposal, particles, power, moves, **options):
    """One row: each choice's distances from the right gradients.

    Returns:
        The length of the gradient of the expected bound; and by kind the
        distance from it and from the gradient of the log evidence, with
        their standard errors, and the standard deviation of the gradient
        for one sequence.
    """
    kinds = list(KINDS) if moves else ["latents", "none"]
    made = {
        kind: Measurement(proposal, particles, power, kind, moves, **options)
        for kind in kinds
    }
    right, found = made[kinds[0]].differences(), {}
    for kind, measurement in made.items():
        gradients = measurement.gradients()
        spread = gradients.std(0, ddof=1) * measurement.batch**0.5
        found[kind] = (
            apart(gradients, right),
            apart(gradients, true_gradient()),
            np.linalg.norm(spread),
        )
    return np.linalg.norm(right.mean(0)), found


def main():
    """Prints the table."""
    write = sys.stdout.write
    for proposal in ("exact_filtering", "transition"):
        for particles in (4, 16):
            for power, moves in CASES:
                size, found = row(proposal, particles, power, moves)
                write(f"{proposal} {particles} r^{power}, moves: {moves}; ")
                write(f"length {size:.3f}\n")
                for kind, (bound, evidence, spread) in found.items():
                    cells = ["{:.3f} ± {:.3f}".format(*bound)]
                    cells.append("{:.3f} ± {:.3f}".format(*evidence))
                    write(f"| {kind} | {' | '.join(cells)} | {spread:.2f} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
