"""How much KL divergences count in log-weights."""

from typing import Any

from keras import ops

from keras_fivo.types import Tensor


def kl_inputs(active: Tensor, analytic: bool, kl_weight: Any) -> dict:
    """Returns what a model reads of it in each step, `(time, batch)` each.

    Args:
        active: Bool `(time, batch)`.
        analytic: Whether KL(q || p) in closed form stands for log q(z_t) -
            log p(z_t | past): `analytic_kl` is there.
        kl_weight: Factor of either, a scalar, as `kl_weight`; None: one.
    """
    ones = ops.ones_like(active, dtype="float32")
    found = {"analytic_kl": ones} if analytic else {}
    if kl_weight is not None:
        found["kl_weight"] = ones * ops.cast(kl_weight, "float32")
    return found
