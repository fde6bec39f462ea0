"""The scan and the training step on PyTorch."""

from keras_fivo.backend.torch.gradients import differentiate as differentiate
from keras_fivo.backend.torch.linear_algebra import cholesky as cholesky
from keras_fivo.backend.torch.scan import scan as scan
from keras_fivo.backend.torch.trainer import Trainer as Trainer
from keras_fivo.backend.torch.trainer import compiled as compiled
