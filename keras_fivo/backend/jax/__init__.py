"""The scan and the training step on JAX."""

from jax.numpy.linalg import cholesky as cholesky

from keras_fivo.backend.jax.gradients import value_and_grad as value_and_grad
from keras_fivo.backend.jax.scan import scan as scan
from keras_fivo.backend.jax.trainer import Trainer as Trainer
from keras_fivo.backend.jax.trainer import compiled as compiled
