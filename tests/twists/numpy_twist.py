"""The twisted filters as NumPy loops: what a twist adds to those without."""

import numpy as np

import keras_fivo as kf
from tests.cells import test_srnn
from tests.reference import numpy_filter
from tests.reference.numpy_filter import array, network, softplus


class TwistedVRNN(numpy_filter.OneSequence):
    """With the term log r_t - log r_{t-1} of a one-step twist.

    r_t is the density of a head over [h_t, encoded z_t] at x_{t+1}, and 1 at
    the last step.
    """

    log_twist = 0.0

    def emission(self, t):
        before, self.log_twist = self.log_twist, self.twist(t)
        return super().emission(t) + self.log_twist - before

    def twist(self, t):
        if t == self.length - 1:
            return np.zeros(self.particles)
        head, x = self.cell.twist.head, self.filled[t + 1]
        inputs = (self.hidden, self.encoded_latent)
        if isinstance(head, kf.BernoulliHead):
            logits = network(head.network, *inputs) + array(head.initial_bias)
            entries = x * logits - softplus(logits)
        else:
            entries = numpy_filter.normal_log_prob(
                x, *numpy_filter.normal_head(head, *inputs)
            )
        return (entries * self.observed[t + 1]).sum(-1)

    def step(self, t):
        # `log_weights` and the decision are those with the twist.
        found = super().step(t)
        found["log_twist"] = self.before_resampling
        return found

    def wants_resampling(self, t, effective_sample_size):
        self.before_resampling = self.log_twist
        return super().wants_resampling(t, effective_sample_size)

    def resample(self, t, weights):
        ancestors = super().resample(t, weights)
        if ancestors.ndim == 1:
            self.log_twist = self.log_twist[ancestors]
        else:  # blends have a twist of their own
            self.hidden = ancestors @ self.hidden
            self.log_twist = self.twist(t)
        return ancestors


class TwistedSRNN(TwistedVRNN, test_srnn.OneSequence):
    """The same around the SRNN."""
