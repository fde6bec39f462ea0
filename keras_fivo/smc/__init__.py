"""Sequential Monte Carlo; knows nothing of networks."""

from keras_fivo.smc.criteria import Always as Always
from keras_fivo.smc.criteria import AtSteps as AtSteps
from keras_fivo.smc.criteria import Criterion as Criterion
from keras_fivo.smc.criteria import EffectiveSampleSize as EffectiveSampleSize
from keras_fivo.smc.criteria import Never as Never
from keras_fivo.smc.criteria import get_criterion as get_criterion
from keras_fivo.smc.kl_weights import kl_inputs as kl_inputs
from keras_fivo.smc.particle_filter import FilterResult as FilterResult
from keras_fivo.smc.particle_filter import particle_filter as particle_filter
from keras_fivo.smc.resampling import Multinomial as Multinomial
from keras_fivo.smc.resampling import Relaxed as Relaxed
from keras_fivo.smc.resampling import Replay as Replay
from keras_fivo.smc.resampling import ResamplingScheme as ResamplingScheme
from keras_fivo.smc.resampling import Stratified as Stratified
from keras_fivo.smc.resampling import Systematic as Systematic
from keras_fivo.smc.resampling import get_scheme as get_scheme
from keras_fivo.smc.weights import (
    effective_sample_size as effective_sample_size,
)
from keras_fivo.smc.weights import log_mean_exp as log_mean_exp
from keras_fivo.smc.weights import log_sum_exp as log_sum_exp
from keras_fivo.smc.weights import normalize_weights as normalize_weights
