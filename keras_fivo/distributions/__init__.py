"""Densities: parameters in, `log_prob`, `sample`, `mean` and `mode` out."""

from keras_fivo.distributions.autoregressive_bernoulli import (
    AutoregressiveBernoulli as AutoregressiveBernoulli,
)
from keras_fivo.distributions.autoregressive_normal import (
    AutoregressiveNormal as AutoregressiveNormal,
)
from keras_fivo.distributions.bernoulli import Bernoulli as Bernoulli
from keras_fivo.distributions.categorical import Categorical as Categorical
from keras_fivo.distributions.discretized_logistic_mixture import (
    DiscretizedLogisticMixture as DiscretizedLogisticMixture,
)
from keras_fivo.distributions.distribution import Distribution as Distribution
from keras_fivo.distributions.distribution import (
    observed_log_prob as observed_log_prob,
)
from keras_fivo.distributions.joint import Joint as Joint
from keras_fivo.distributions.kl import analytic_kl as analytic_kl
from keras_fivo.distributions.laplace import Laplace as Laplace
from keras_fivo.distributions.multivariate_normal import (
    MultivariateNormal as MultivariateNormal,
)
from keras_fivo.distributions.multivariate_normal import (
    normal_from_factor as normal_from_factor,
)
from keras_fivo.distributions.negative_binomial import (
    NegativeBinomial as NegativeBinomial,
)
from keras_fivo.distributions.normal import Normal as Normal
from keras_fivo.distributions.normal_mixture import (
    NormalMixture as NormalMixture,
)
from keras_fivo.distributions.one_hot_categorical import (
    OneHotCategorical as OneHotCategorical,
)
from keras_fivo.distributions.poisson import Poisson as Poisson
from keras_fivo.distributions.quantized_normal import (
    QuantizedNormal as QuantizedNormal,
)
from keras_fivo.distributions.student_t import StudentT as StudentT
