"""The scan and the training step on JAX."""

from jax.numpy.linalg import cholesky as cholesky

from keras_fivo.backend.jax.gradients import differentiate as differentiate
from keras_fivo.backend.jax.scan import scan as scan
from keras_fivo.backend.jax.trainer import Trainer as Trainer
from keras_fivo.backend.jax.trainer import compiled as compiled
