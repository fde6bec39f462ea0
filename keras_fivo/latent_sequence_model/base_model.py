"""A Keras model of a cell and its bounds: weights, settings, files."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.bounds import Bound, get_bound
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import STATIC_KEYS, as_dict
from keras_fivo.latent_sequence_model.compiled import CompiledFunctions
from keras_fivo.latent_sequence_model.kl_weight import get_kl_weight
from keras_fivo.latent_sequence_model.losses import reported_losses
from keras_fivo.latent_sequence_model.static_features import (
    shapes_for_cell,
    static_dim,
)
from keras_fivo.lookup import typed
from keras_fivo.metrics import FilterMetrics
from keras_fivo.presets import FromPresets, builtin_presets
from keras_fivo.seeds import seed_generator


class BaseModel(FromPresets, backend.Trainer, keras.Model):
    """The part of a `LatentSequenceModel` that is built, saved and loaded."""

    def __init__(
        self,
        cell: LatentCell,
        bound: Any = "fivo",
        evaluation_bound: Any = None,
        loss_per: str = "step",
        nan_is_missing: bool = False,
        seed: int | None = None,
        evaluation_seed: int | None = 0,
        kl_weight: Any = None,
        series_embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        # Observations keep their precision under a mixed policy.
        super().__init__(**{"autocast": False, **kwargs})
        self.cell = _checked(cell, loss_per)
        self.series_embedding = typed(
            series_embedding, keras.layers.Embedding, "series_embedding"
        )
        self.loss_per = loss_per
        self.nan_is_missing = bool(nan_is_missing)
        self.seed_generator = seed_generator(seed)
        self.filter_seed_generator = seed_generator(seed, "filter")
        self.evaluation_seed_generator = seed_generator(
            evaluation_seed, "evaluation", argument="evaluation_seed"
        )
        self.seed = None if seed is None else int(seed)
        self.evaluation_seed = (
            None if evaluation_seed is None else int(evaluation_seed)
        )
        self._report = FilterMetrics(
            reported_losses(cell), cell.proposal.num_evaluations
        )
        self.kl_weight = get_kl_weight(kl_weight)
        self._functions = CompiledFunctions(
            self, [self.filter_seed_generator.state]
        )
        self._bound = get_bound(bound)
        self._evaluation_bound = (
            None
            if evaluation_bound is None
            else get_bound(evaluation_bound, "evaluation_bound")
        )

    @property
    def bound(self) -> Bound:
        """The bound of training; may be replaced at any time."""
        return self._bound

    @bound.setter
    def bound(self, bound: Any) -> None:
        self._bound = get_bound(bound)
        self._forget_compiled()

    @property
    def evaluation_bound(self) -> Bound:
        """The bound of evaluation and filtering; may be replaced."""
        return self._evaluation_bound or self._bound

    @evaluation_bound.setter
    def evaluation_bound(self, bound: Any) -> None:
        self._evaluation_bound = (
            None if bound is None else get_bound(bound, "evaluation_bound")
        )
        self._forget_compiled()

    def _forget_compiled(self) -> None:
        self.train_function = None
        self.test_function = None
        self.predict_function = None
        self._functions.clear()

    def build(self, input_shape: Any) -> None:
        """Creates the weights.

        Args:
            input_shape: `(batch, time, ..., features)`, or a dict of shapes.
        """
        shapes = as_dict(input_shape)
        embedding = self.series_embedding
        if embedding is not None and not embedding.built:
            embedding.build((None,))
        if not self.cell.built:
            self.cell.build(shapes_for_cell(shapes, embedding))
        self.input_sizes = {
            key: [int(size) for size in shape[_axes_before(key) :]]
            for key, shape in shapes.items()
            if key in ("observations", "controls", "static")
        }

    @property
    def static_dim(self) -> int:
        """How many of the cell's controls are made of what is static."""
        return static_dim(self.input_sizes, self.series_embedding)

    input_sizes: Mapping[str, list[int]] = {}
    """Sizes of the inputs that the model was built for, by name."""

    def get_build_config(self) -> dict | None:
        """Returns the sizes of the inputs that the model was built for."""
        return {"sizes": self.input_sizes} if self.built else None

    def build_from_config(self, config: dict | None) -> None:
        """Builds the model for the sizes that it was saved with."""
        if config and "sizes" in config:
            # An integer is what models saved before frames had.
            self.build(
                {
                    key: (
                        *[None] * _axes_before(key),
                        *([n] if isinstance(n, int) else n),
                    )
                    for key, n in config["sizes"].items()
                }
            )

    # Saving.

    def save_own_variables(self, store: Any) -> None:
        """Saves where the noise has come to, so that training resumes."""
        for name in self._NOISE:
            state = getattr(self, name).state
            store[name] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """Goes on with the noise where the file was saved, if it says."""
        for name in self._NOISE:
            if name in store.keys():
                getattr(self, name).state.assign(np.array(store[name]))

    _NOISE = ("seed_generator", "filter_seed_generator")

    presets = builtin_presets("LatentSequenceModel")
    """What there is to know of the presets that are shipped with the library,
    by name: their `description`, `bounds` and more."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "cell": serialize(self.cell),
            "bound": serialize(self._bound),
            "evaluation_bound": serialize(self._evaluation_bound),
            "loss_per": self.loss_per,
            "nan_is_missing": self.nan_is_missing,
            "seed": self.seed,
            "evaluation_seed": self.evaluation_seed,
            "kl_weight": self.kl_weight and serialize(self.kl_weight),
            "series_embedding": serialize(self.series_embedding),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict, **kwargs: Any) -> Any:
        """Rebuilds the model with its cell and bounds."""
        config = dict(config)
        config["cell"] = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**config)


def _checked(cell: Any, loss_per: str) -> LatentCell:
    """Returns the cell of a model whose arguments can be."""
    if not isinstance(cell, LatentCell):
        raise TypeError(f"`cell` must be a LatentCell. Received: cell={cell!r}")
    if loss_per not in ("step", "sequence"):
        raise ValueError(
            "`loss_per` must be 'step' or 'sequence'. "
            f"Received: loss_per={loss_per!r}"
        )
    return cell


def _axes_before(key: str) -> int:
    """Returns the number of axes before the features: batch, and time."""
    return 1 if key in STATIC_KEYS else 2
