"""Densities: parameters in, `log_prob`, `sample`, `mean` and `mode` out."""

from keras_fivo.distributions.bernoulli import Bernoulli as Bernoulli
from keras_fivo.distributions.distribution import Distribution as Distribution
from keras_fivo.distributions.normal import Normal as Normal
