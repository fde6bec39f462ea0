"""The Keras model around a cell and a bound."""

from typing import Any

import keras
import numpy as np

from keras_fivo import backend
from keras_fivo.bounds import Bound, get_bound
from keras_fivo.cells import LatentCell
from keras_fivo.inputs import as_dict
from keras_fivo.latent_sequence_model import checks
from keras_fivo.latent_sequence_model.seeds import seed_generator
from keras_fivo.latent_sequence_model.training import Training
from keras_fivo.latent_sequence_model.verbs import Verbs
from keras_fivo.metrics import FilterMetrics
from keras_fivo.presets import builtin_presets, load_preset, save_preset


@keras.saving.register_keras_serializable(package="keras_fivo")
class LatentSequenceModel(Verbs, Training, backend.Trainer, keras.Model):
    """A latent sequence model that is trained with a bound.

    Observations are an array `(batch, time, features)`, or a dict of it as
    `observations` with, where there are any, `mask` `(batch, time)` or
    `(batch, time, features)`, True = observed; `lengths` `(batch,)`; and
    `controls` `(batch, time, controls)`. The length of a sequence is one
    past its last observed step, unless `lengths` says otherwise.

    `evaluate`, validation, and `predict` use `evaluation_bound`, with the
    same noise every time; `fit` uses `bound`.

    Args:
        cell: A `LatentCell`.
        bound: A bound, or `"elbo"`, `"iwae"` or `"fivo"`.
        evaluation_bound: A bound or its name; None: the same as `bound`.
        loss_per: `"step"`: the loss is the mean over sequences of
            -bound / length; `"sequence"`: of -bound.
        nan_is_missing: Whether NaN in observations stands for a missing
            entry, rather than being an error.
        seed: Seed of the noise of training and, apart from it, of filtering
            and sampling; None: drawn.
        evaluation_seed: Seed of the noise of each evaluation, which is
            apart from that of `seed`, whatever the numbers; None: new noise
            every time.

    Call arguments:
        inputs: Observations, as above.

    Returns:
        `(batch,)`: the log evidence of each sequence, as estimated by
        `evaluation_bound`, in nats.

    Example:
    ```python
    cell = kf.VRNNCell(latent_dim=8, units=16, emission="bernoulli")
    model = kf.LatentSequenceModel(cell, bound=kf.FIVO(num_particles=4))
    model.adapt(rolls)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(rolls, epochs=2)
    ```

    Reference:
        Maddison et al., 2017, "Filtering Variational Objectives".
    """

    def __init__(
        self,
        cell: LatentCell,
        bound: Any = "fivo",
        evaluation_bound: Any = None,
        loss_per: str = "step",
        nan_is_missing: bool = False,
        seed: int | None = None,
        evaluation_seed: int | None = 0,
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
        twist = cell.twist
        contrasts = twist is not None and twist.objective == "density_ratio"
        self._report = FilterMetrics(["twist_loss"] if contrasts else [])
        self._functions: dict = {}
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
        self._functions = {}

    def build(self, input_shape: Any) -> None:
        """Creates the weights.

        Args:
            input_shape: `(batch, time, features)`, or a dict of shapes.
        """
        if not self.cell.built:
            self.cell.build(input_shape)
        self._input_sizes = {
            key: int(shape[-1])
            for key, shape in as_dict(input_shape).items()
            if key in ("observations", "controls")
        }

    def get_build_config(self) -> dict | None:
        """Sizes of the inputs that the model was built for."""
        return {"sizes": self._input_sizes} if self.built else None

    def build_from_config(self, config: dict | None) -> None:
        """Builds the model for the sizes that it was saved with."""
        if config and "sizes" in config:
            shapes = {k: (None, None, n) for k, n in config["sizes"].items()}
            self.build(shapes)

    def _ensure_built(self, arrays: dict) -> None:
        if not self.built:
            self.build({key: x.shape for key, x in arrays.items()})

    def adapt(self, data: Any, scale: bool = False) -> None:
        """Takes centring, and the emission's bias, from the training data.

        Args:
            data: Observations or a data set of them.
            scale: Whether inputs of networks are also divided by the
                standard deviation.
        """
        count: Any = 0.0
        total: Any = 0.0
        squares: Any = 0.0
        for batch in checks.batches(data):
            arrays = checks.check_inputs(batch, self.cell, self.nan_is_missing)
            self._ensure_built(arrays)
            values, observed = checks.observed_entries(
                arrays, self.nan_is_missing
            )
            count = count + observed.sum((0, 1))
            total = total + values.sum((0, 1))
            squares = squares + np.square(values).sum((0, 1))
        if not np.all(count):
            raise ValueError(
                "Each feature must be observed at least once in the data "
                f"that the model adapts to. Received: {count} observed "
                "entries"
            )
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
        self.cell.adapt(
            mean.astype("float32"),
            deviation.astype("float32") if scale else None,
        )

    def save_own_variables(self, store: Any) -> None:
        """Saves where the noise has come to, so that training resumes."""
        for name in self._NOISE:
            state = getattr(self, name).state
            store[name] = keras.ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """Goes on with the noise where the file was saved, if it says."""
        for name in self._NOISE:
            if name in store.keys():
                getattr(self, name).state.assign(np.array(store[name]))

    _NOISE = ("seed_generator", "filter_seed_generator")

    presets = builtin_presets("LatentSequenceModel")
    """Metadata of the presets that are shipped with the library, by name."""

    @classmethod
    def from_preset(cls, preset: Any) -> "LatentSequenceModel":
        """Returns a trained model, with cell, bounds, centring and weights.

        Args:
            preset: Name of a shipped preset, one of `presets`; path of a
                folder that `save_to_preset` wrote; or handle of a hub that
                begins with `"hf://"` or `"kaggle://"`.

        Raises:
            ValueError: If there is no such preset, or it was changed.
            ImportError: If the library that fetches it is not installed.
        """
        return load_preset(cls, preset)

    def save_to_preset(self, folder: Any, card: str | None = None) -> None:
        """Writes the model to a new folder that `from_preset` reads.

        Args:
            folder: Path of a folder that does not exist yet.
            card: Model card in Markdown, written as `README.md`.

        Raises:
            ValueError: If the folder exists, or the model is not built.
        """
        save_preset(self, folder, card)

    def get_config(self) -> dict:
        """Constructor arguments."""
        serialize = keras.saving.serialize_keras_object
        config = {
            "cell": serialize(self.cell),
            "bound": serialize(self._bound),
            "evaluation_bound": serialize(self._evaluation_bound),
            "loss_per": self.loss_per,
            "nan_is_missing": self.nan_is_missing,
            "seed": self.seed,
            "evaluation_seed": self.evaluation_seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict, **kwargs: Any) -> Any:
        """Rebuilds the model with its cell and bounds."""
        config = dict(config)
        config["cell"] = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**config)
