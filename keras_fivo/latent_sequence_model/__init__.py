"""The Keras model: fit, evaluate, filter, sample, forecast, step, save."""

from keras_fivo.latent_sequence_model.kl_weight import KLWarmUp as KLWarmUp
from keras_fivo.latent_sequence_model.model import (
    LatentSequenceModel as LatentSequenceModel,
)
