"""Exact answers for linear Gaussian state-space models."""

from keras_fivo.linear_gaussian.chain import LinearGaussian as LinearGaussian
from keras_fivo.linear_gaussian.filtering import (
    observed_entries as observed_entries,
)
from keras_fivo.linear_gaussian.linear_algebra import matvec as matvec
from keras_fivo.linear_gaussian.messages import (
    backward_messages as backward_messages,
)
from keras_fivo.linear_gaussian.messages import (
    condition_transition as condition_transition,
)
from keras_fivo.linear_gaussian.messages import log_message as log_message
from keras_fivo.linear_gaussian.messages import (
    messages_of_inputs as messages_of_inputs,
)
from keras_fivo.linear_gaussian.messages import (
    observation_messages as observation_messages,
)
from keras_fivo.linear_gaussian.posterior import KalmanResult as KalmanResult
from keras_fivo.linear_gaussian.posterior import (
    KalmanSmoothingResult as KalmanSmoothingResult,
)
from keras_fivo.linear_gaussian.posterior import Posterior as Posterior
from keras_fivo.linear_gaussian.posterior import kalman_filter as kalman_filter
from keras_fivo.linear_gaussian.posterior import (
    kalman_smoother as kalman_smoother,
)
from keras_fivo.linear_gaussian.posterior import (
    sample_posterior as sample_posterior,
)
from keras_fivo.linear_gaussian.sampling import ExactForecast as ExactForecast
from keras_fivo.linear_gaussian.sampling import forecast as forecast
from keras_fivo.linear_gaussian.sampling import sample_prior as sample_prior
