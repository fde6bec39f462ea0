"""Networks from features to a distribution."""

from typing import Any

from keras_fivo.heads.autoregressive_bernoulli import (
    AutoregressiveBernoulliHead as AutoregressiveBernoulliHead,
)
from keras_fivo.heads.autoregressive_normal import (
    AutoregressiveNormalHead as AutoregressiveNormalHead,
)
from keras_fivo.heads.bernoulli import BernoulliHead as BernoulliHead
from keras_fivo.heads.categorical import CategoricalHead as CategoricalHead
from keras_fivo.heads.discretized_logistic_mixture import (
    DiscretizedLogisticMixtureHead as DiscretizedLogisticMixtureHead,
)
from keras_fivo.heads.head import Head as Head
from keras_fivo.heads.joint import JointHead as JointHead
from keras_fivo.heads.laplace import LaplaceHead as LaplaceHead
from keras_fivo.heads.negative_binomial import (
    NegativeBinomialHead as NegativeBinomialHead,
)
from keras_fivo.heads.normal import NormalHead as NormalHead
from keras_fivo.heads.normal_mixture import (
    NormalMixtureHead as NormalMixtureHead,
)
from keras_fivo.heads.poisson import PoissonHead as PoissonHead
from keras_fivo.heads.quantized_normal import (
    QuantizedNormalHead as QuantizedNormalHead,
)
from keras_fivo.heads.student_t import StudentTHead as StudentTHead
from keras_fivo.lookup import find

_HEADS: dict[str, type[Head]] = {
    "autoregressive_bernoulli": AutoregressiveBernoulliHead,
    "autoregressive_normal": AutoregressiveNormalHead,
    "bernoulli": BernoulliHead,
    "categorical": CategoricalHead,
    "discretized_logistic_mixture": DiscretizedLogisticMixtureHead,
    "laplace": LaplaceHead,
    "negative_binomial": NegativeBinomialHead,
    "normal": NormalHead,
    "normal_mixture": NormalMixtureHead,
    "poisson": PoissonHead,
    "quantized_normal": QuantizedNormalHead,
    "student_t": StudentTHead,
}


def get_head(identifier: Any) -> Head:
    """Returns a head from an object, a name, or a dict of them by column.

    A dict with `class_name` is a serialized object; see `find`.
    """
    if isinstance(identifier, dict) and "class_name" not in identifier:
        return JointHead({k: get_head(x) for k, x in identifier.items()})
    return find(identifier, _HEADS, Head, "emission")
