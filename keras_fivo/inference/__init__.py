"""What is inferred with a cell: functions, which need no Keras model."""

from keras_fivo.inference.evidence import (
    evidence_increments as evidence_increments,
)
from keras_fivo.inference.evidence import lineage as lineage
from keras_fivo.inference.filtering import can_stream as can_stream
from keras_fivo.inference.filtering import filter_sequences as filter_sequences
from keras_fivo.inference.filtering import one_step as one_step
from keras_fivo.inference.forecasting import Forecast as Forecast
from keras_fivo.inference.forecasting import Start as Start
from keras_fivo.inference.forecasting import sample_paths as sample_paths
from keras_fivo.inference.smoothing import Smoother as Smoother
from keras_fivo.inference.smoothing import SmoothingResult as SmoothingResult
from keras_fivo.inference.states import load_state as load_state
from keras_fivo.inference.states import save_state as save_state
