"""Networks from features to a distribution."""

from typing import Any

from keras_fivo.heads.bernoulli import BernoulliHead as BernoulliHead
from keras_fivo.heads.head import Head as Head
from keras_fivo.heads.normal import NormalHead as NormalHead
from keras_fivo.lookup import find

_HEADS: dict[str, type[Head]] = {
    "bernoulli": BernoulliHead,
    "normal": NormalHead,
}


def get_head(identifier: Any) -> Head:
    """A head from an object or a name; see `find`."""
    return find(identifier, _HEADS, Head, "emission")
