"""The public checks pass what is right and name what is not."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_fivo as kf
from keras_fivo.testing import (
    check_cell,
    check_distribution,
    check_proposal,
)
from tests.reference.examples import Autoregression

OBSERVATIONS = np.random.default_rng(0).standard_normal((2, 4, 1))


@keras.saving.register_keras_serializable(package="tests")
class Peeking(Autoregression):
    """Sees the observation of the step in its transition."""

    def encode(self, inputs, observed_state):
        past, present, state = super().encode(inputs, observed_state)
        return {**past, "seen": inputs["observations"]}, present, state


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(Autoregression):
    """Leaves an argument out of its configuration."""

    def __init__(self, latent_dim=1, start=0.5, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.start = start

    def transition_distribution(self, context):
        return kf.Normal(self.memory * context + self.start, 1 + 0 * context)


@keras.saving.register_keras_serializable(package="tests")
class Idle(Autoregression):
    """Has a weight that nothing reads."""

    def build_parts(self, observation_dim, control_dim):
        super().build_parts(observation_dim, control_dim)
        self.idle = self.add_weight(name="idle", shape=(1,))


@keras.saving.register_keras_serializable(package="tests")
class Overflowing(Autoregression):
    """Divides by what is observed, which a missing step makes 0."""

    def weigh(self, inputs, proposed):
        observed = ops.cast(inputs["observed"], "float32")
        while len(observed.shape) > 1:
            observed = observed[..., 0]
        return super().weigh(inputs, proposed) / observed


@keras.saving.register_keras_serializable(package="tests")
class Mixing(Autoregression):
    """Adds the mean over the sequences of a batch."""

    def transition_distribution(self, context):
        mean = ops.mean(context, axis=0, keepdims=True)
        return kf.Normal(self.memory * context + mean, 1 + 0 * context)


def test_a_cell_of_ones_own_passes():
    check_cell(Autoregression(), OBSERVATIONS)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("cell", "property_"),
    [
        (Peeking, "does not move with its own observation"),
        (lambda: Forgetful(start=2.0), "same log evidence"),
        (Idle, "gradient of .*idle is not zero"),
        (Overflowing, "finite where nothing is observed"),
        (Mixing, "others of its batch"),
    ],
)
def test_a_faulty_cell_is_told_its_fault(cell, property_):
    with pytest.raises(AssertionError, match=property_):
        check_cell(cell(), OBSERVATIONS)


@pytest.mark.one_backend
def test_a_weight_may_be_named_as_unused():
    check_cell(Idle(), OBSERVATIONS, unused=("idle",))


@keras.saving.register_keras_serializable(package="tests")
class Secretive(kf.SmoothingProposal):
    """Sees the future and does not say so."""

    sees_future = False


@pytest.mark.one_backend
def test_a_proposal_must_say_that_it_sees_the_future():
    with pytest.raises(AssertionError, match="`sees_future`"):
        check_proposal(Secretive())


def test_few_data_are_refused():
    with pytest.raises(ValueError, match=r"Received: .*\(1, 4, 1\)"):
        check_cell(Autoregression(), OBSERVATIONS[:1])


GRID = np.linspace(-12, 12, 2001)


def normal(rows, **changed):
    loc = ops.tile(ops.convert_to_tensor([[0.0, 1.0]]), (rows, 1))
    return changed.get("cls", kf.Normal)(loc, 0.5 + 0 * loc)


class TooWide(kf.Normal):
    """Samples twice as wide as its density."""

    def sample_and_log_prob(self, noise):
        value = self.sample(2 * noise)
        return value, self.log_prob(value)


class Unnormalised(kf.Normal):
    """Leaves out the normaliser."""

    def entry_log_prob(self, value):
        return -0.5 * ((value - self.loc) / self.scale) ** 2


class Deaf(kf.Normal):
    """Counts what is missing."""

    def log_prob(self, value, mask=None):
        return super().log_prob(value)


def test_a_right_distribution_passes():
    check_distribution(normal, GRID)
    rates = ops.log(ops.convert_to_tensor([[0.3, 4.0]]))
    check_distribution(
        lambda rows: kf.Poisson(ops.tile(rates, (rows, 1))), np.arange(40)
    )


@pytest.mark.parametrize(
    ("cls", "property_"),
    [
        (TooWide, "variance of the density"),
        (Unnormalised, "sum to one"),
        (Deaf, "entries that are observed"),
    ],
)
def test_a_faulty_distribution_is_told_its_fault(cls, property_):
    with pytest.raises(AssertionError, match=property_):
        check_distribution(lambda rows: normal(rows, cls=cls), GRID)
