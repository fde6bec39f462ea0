"""What training reports, and scores of forecasts by their samples."""

from keras_fivo.metrics.intervals import (
    anomaly_threshold as anomaly_threshold,
)
from keras_fivo.metrics.intervals import coverage as coverage
from keras_fivo.metrics.intervals import mase as mase
from keras_fivo.metrics.intervals import pit_values as pit_values
from keras_fivo.metrics.intervals import quantile_loss as quantile_loss
from keras_fivo.metrics.intervals import seasonal_error as seasonal_error
from keras_fivo.metrics.intervals import (
    weighted_quantile_loss as weighted_quantile_loss,
)
from keras_fivo.metrics.scores import crps as crps
from keras_fivo.metrics.scores import energy_score as energy_score
from keras_fivo.metrics.training import Count as Count
from keras_fivo.metrics.training import FilterMetrics as FilterMetrics
from keras_fivo.metrics.training import Ratio as Ratio
from keras_fivo.metrics.training import direction_of as direction_of
from keras_fivo.metrics.training import summarize as summarize
