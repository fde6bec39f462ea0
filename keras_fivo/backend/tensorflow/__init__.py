"""The scan, the random numbers and the training step on TensorFlow."""

from tensorflow.linalg import cholesky as cholesky

from keras_fivo.backend.tensorflow.gradients import (
    value_and_grad as value_and_grad,
)
from keras_fivo.backend.tensorflow.noise import draw as draw
from keras_fivo.backend.tensorflow.scan import scan as scan
from keras_fivo.backend.tensorflow.trainer import Trainer as Trainer
from keras_fivo.backend.tensorflow.trainer import compiled as compiled
