"""The Keras model: fit, evaluate, filter, sample, forecast, step, save."""

from keras_fivo.latent_sequence_model.generation import Forecast as Forecast
from keras_fivo.latent_sequence_model.model import (
    LatentSequenceModel as LatentSequenceModel,
)
from keras_fivo.latent_sequence_model.smoothing import (
    SmoothingResult as SmoothingResult,
)
from keras_fivo.latent_sequence_model.states import load_state as load_state
from keras_fivo.latent_sequence_model.states import save_state as save_state
