"""A Keras model of a cell and its bounds: weights, settings, files."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.bounds import Bound, get_bound
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import as_dict
from keras_fivo.latent_sequence_model.compiled import CompiledFunctions
from keras_fivo.latent_sequence_model.kl_weight import get_kl_weight
from keras_fivo.latent_sequence_model.losses import reported_losses
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
        **kwargs: Any,
    ) -> None:
        # Observations keep their precision under a mixed policy.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(cell, LatentCell):
            raise TypeError(
                f"`cell` must be a LatentCell. Received: cell={cell!r}"
            )
        if loss_per not in ("step", "sequence"):
            raise ValueError(
                "`loss_per` must be 'step' or 'sequence'. "
                f"Received: loss_per={loss_per!r}"
            )
        self.cell = cell
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
        if not self.cell.built:
            self.cell.build(input_shape)
        self._input_sizes = {
            key: [int(size) for size in shape[2:]]
            for key, shape in as_dict(input_shape).items()
            if key in ("observations", "controls")
        }

    def get_build_config(self) -> dict | None:
        """Returns the sizes of the inputs that the model was built for."""
        return {"sizes": self._input_sizes} if self.built else None

    def build_from_config(self, config: dict | None) -> None:
        """Builds the model for the sizes that it was saved with."""
        if config and "sizes" in config:
            # An integer is what models saved before frames had.
            self.build(
                {
                    key: (None, None, *([n] if isinstance(n, int) else n))
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
    """Metadata of the presets that are shipped with the library, by name."""

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
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict, **kwargs: Any) -> Any:
        """Rebuilds the model with its cell and bounds."""
        config = dict(config)
        config["cell"] = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**config)
