"""Structural time series models: exact, and many at once."""

from keras_fivo.structural.filtering import NAMES as NAMES
from keras_fivo.structural.filtering import SEEN as SEEN
from keras_fivo.structural.filtering import chain as chain
from keras_fivo.structural.filtering import filter_rows as filter_rows
from keras_fivo.structural.filtering import forecast_moments as forecast_moments
from keras_fivo.structural.filtering import log_prior as log_prior
from keras_fivo.structural.filtering import prior_means as prior_means
from keras_fivo.structural.forecaster import (
    StructuralForecaster as StructuralForecaster,
)
from keras_fivo.structural.harmonics import harmonic_columns as harmonic_columns
from keras_fivo.structural.transformation import (
    Transformation as Transformation,
)
from keras_fivo.structural.transformation import can_transform as can_transform
from keras_fivo.structural.transformation import (
    make_transformation as make_transformation,
)
from keras_fivo.structural.transformation import (
    season_amplitude as season_amplitude,
)
