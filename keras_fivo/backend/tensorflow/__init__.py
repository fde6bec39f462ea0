"""The scan, the random numbers and the training step on TensorFlow."""

from tensorflow.linalg import cholesky as cholesky

from keras_fivo.backend.tensorflow.gradients import (
    differentiate as differentiate,
)
from keras_fivo.backend.tensorflow.noise import draw as draw
from keras_fivo.backend.tensorflow.scan import scan as scan
from keras_fivo.backend.tensorflow.trainer import Trainer as Trainer
from keras_fivo.backend.tensorflow.trainer import compiled as compiled
from keras_fivo.backend.tensorflow.while_loop import while_loop as while_loop
