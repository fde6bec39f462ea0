"""The only room that names a framework: the scan and the training step."""

from functools import partial

import keras
from keras.ops import while_loop as while_loop

from keras_fivo.backend.gradients import value_and_grad as _value_and_grad
from keras_fivo.backend.guard import all_finite as all_finite
from keras_fivo.backend.products import lifted_products as lifted_products
from keras_fivo.backend.products import linear as linear
from keras_fivo.backend.products import plainly as plainly
from keras_fivo.backend.recomputed import recomputed as recomputed
from keras_fivo.backend.unrolled import unrolled as unrolled
from keras_fivo.backend.unrolled import unrolling as _unrolling
from keras_fivo.backend.unrolled import write_out as _write_out

_NAME = keras.backend.backend()
# Whether operations on single entries that follow each other run as one.
FUSES = _NAME != "torch"
# Whether XLA, where it is used, takes gradients of branches.
COMPILES_BRANCHES = _NAME != "tensorflow"
# Whether distributions of Keras reach the devices.
DISTRIBUTES = _NAME == "jax"

if _NAME == "jax":
    from keras_fivo.backend.jax import Trainer as Trainer
    from keras_fivo.backend.jax import cholesky as cholesky
    from keras_fivo.backend.jax import compiled as compiled
    from keras_fivo.backend.jax import differentiate as _differentiate
    from keras_fivo.backend.jax import scan as scan
    from keras_fivo.backend.noise import draw as draw
elif _NAME == "tensorflow":
    from keras_fivo.backend.tensorflow import Trainer as Trainer  # type: ignore
    from keras_fivo.backend.tensorflow import cholesky as cholesky
    from keras_fivo.backend.tensorflow import compiled as compiled
    from keras_fivo.backend.tensorflow import differentiate as _differentiate
    from keras_fivo.backend.tensorflow import draw as draw
    from keras_fivo.backend.tensorflow import scan as scan
    from keras_fivo.backend.tensorflow import while_loop as while_loop
elif _NAME == "torch":
    from keras_fivo.backend.noise import draw as draw
    from keras_fivo.backend.torch import Trainer as Trainer  # type: ignore
    from keras_fivo.backend.torch import cholesky as cholesky
    from keras_fivo.backend.torch import compiled as compiled
    from keras_fivo.backend.torch import differentiate as _differentiate
    from keras_fivo.backend.torch import scan as scan
else:
    raise ValueError(
        "keras_fivo runs on the TensorFlow, JAX and PyTorch backends of "
        f"Keras. Received: keras.backend.backend()={_NAME!r}. Set the "
        "environment variable KERAS_BACKEND before importing keras."
    )

scan = _unrolling(scan)
# For steps that choose by values what to compute: PyTorch's trace would see
# the first choice alone.
branching_scan = _write_out if _NAME == "torch" else scan
value_and_grad = partial(_value_and_grad, _differentiate)
