"""The Keras model that a rule trains without labels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fivo import backend
from keras_fivo.checks import check_count, check_units
from keras_fivo.learned_rules.base import (
    BaseWeights,
    base_forms,
    run_base,
)
from keras_fivo.learned_rules.few_shot import FewShotResult, evaluate_few_shot
from keras_fivo.learned_rules.rule import LocalUpdateRule
from keras_fivo.lookup import typed
from keras_fivo.presets import builtin_presets, load_preset, save_preset
from keras_fivo.types import Tensor


@keras.saving.register_keras_serializable(package="keras_fivo")
class LearnedRuleModel(backend.Trainer, keras.Model):
    """A perceptron that a learned rule trains without labels.

    `fit(images)` applies the rule to each batch, and `predict` gives
    embeddings. Layers are normalised over the batch that they are given, in
    `predict` too: by default that is all of `x`.

    Args:
        rule: A `LocalUpdateRule`.
        units: Sizes of the layers, the embedding last.
        activation: Activation of every layer, or its name.
        seed: Seed of the weights before training.

    Call arguments:
        inputs: Images or vectors, `(batch, ...)`, which are flattened.

    Returns:
        Embeddings, `(batch, units[-1])`.

    Example:
    ```python
    rule = kf.LocalUpdateRule(embedding_dim=None)
    model = kf.LearnedRuleModel(rule, units=(128, 64))
    model.fit(images, batch_size=64, epochs=2)
    print(model.evaluate(test_images, labels, ways=5, shots=10))
    ```
    """

    def __init__(
        self,
        rule: LocalUpdateRule,
        units: Sequence[int],
        activation: Any = "relu",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.rule = typed(rule, LocalUpdateRule, "rule", absent=())
        self.units = check_units(units)
        self.rule.check_embedding(self.units[-1])
        self.activation = keras.activations.get(activation)
        self.seed = seed
        self._change = keras.metrics.Mean("change")
        self.compile()

    def build(self, input_shape: Any) -> None:
        """Creates a base model that has learned nothing."""
        if self.built:
            return
        self.input_dim = int(np.prod(input_shape[1:]))
        parts = base_forms(self.input_dim, self.units)
        forms = [form for part in parts for form in part]
        seeds = np.random.default_rng(self.seed).integers(
            2**31, size=len(forms)
        )
        # Initializers, not values: Keras may trace this within `fit`.
        self._weights = [
            self.add_weight(
                shape=shape,
                initializer=keras.initializers.TruncatedNormal(
                    stddev=deviation, seed=int(seed)
                ),
                trainable=False,
                name=f"base_{i}",
            )
            for i, ((shape, deviation), seed) in enumerate(
                zip(forms, seeds, strict=True)
            )
        ]

    @property
    def base(self) -> BaseWeights:
        """The weights that the rule trains."""
        count = len(self.units)
        values = [v.value for v in self._weights]
        return BaseWeights(
            values[:count], values[count : 2 * count], values[2 * count :]
        )

    @property
    def trainable_variables(self) -> list:
        """None: no gradient trains this model."""
        return []

    @property
    def non_trainable_variables(self) -> list:
        """All variables."""
        return self.variables

    def call(self, inputs: Tensor) -> Tensor:
        flat = self._flat(inputs)
        return run_base(self.base, flat, self.activation)[0][-1]

    def _flat(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(ops.convert_to_tensor(inputs), "float32")
        self._check(inputs)
        return ops.reshape(inputs, (-1, self.input_dim))

    def compute_losses(self, data: Any, training: bool) -> tuple[dict, dict]:
        """Applies the rule to a batch.

        Returns:
            The root mean square of the change of the kernels, by their own,
            in the place of a loss; and what trainers ask for.
        """
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        _refuse_labels(y)
        old = self.base
        new = self.rule.step(old, self._flat(x), self.activation)
        ratios = [
            ops.mean(ops.square(b - a)) / ops.mean(ops.square(a))
            for a, b in zip(old.kernels, new.kernels, strict=True)
        ]
        change = ops.sqrt(sum(ratios) / len(ratios))
        # Last: a variable may be changed in place.
        for variable, value in zip(
            self._weights, keras.tree.flatten(new), strict=True
        ):
            variable.assign(value)
        return {"change": change}, {"counted": ops.ones(())}

    def loss_variables(self, name: str) -> list:
        """Returns none: the rule has moved them."""
        return []

    @property
    def metrics(self) -> list:
        """`change`: how far an update moves the kernels, by their size."""
        return [self._change]

    def update_metrics(
        self, losses: dict, report: dict, applied: Tensor | None = None
    ) -> dict:
        """Adds a batch to the metrics and returns their values."""
        self._change.update_state(losses["change"])
        return self.get_metrics_result()

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Trains the base model by the rule; see `keras.Model.fit`.

        Args:
            x: Images, `(examples, ...)`, or a data set that yields them.
            y: Must be None: the rule learns without labels.
            *args: As for `keras.Model.fit`, the batch size first.
            **kwargs: As for `keras.Model.fit`; nothing is validated, and all
                examples weigh the same.

        Raises:
            ValueError: For labels, images of another size or that are not
                finite, weights, or data to validate with.
        """
        _refuse_labels(y)
        _refuse_unused(kwargs)
        if isinstance(x, keras.utils.PyDataset):
            self._check(keras.utils.unpack_x_y_sample_weight(x[0])[0])
        elif isinstance(x, list) or hasattr(x, "shape"):
            x = self._images(x)
        return super().fit(x, None, *args, **kwargs)

    def predict(
        self, x: Any, batch_size: int | None = None, **kwargs: Any
    ) -> np.ndarray:
        """Returns embeddings, `(examples, units[-1])`.

        Args:
            x: Images, `(examples, ...)`.
            batch_size: Number of examples over which layers are normalised;
                None: all.
            **kwargs: As for `keras.Model.predict`.

        Raises:
            ValueError: For images of another size or that are not finite.
        """
        x = self._images(x)
        size = len(x) if batch_size is None else batch_size
        return super().predict(x, size, **{"verbose": 0, **kwargs})

    def evaluate(
        self, x: Any = None, y: Any = None, **kwargs: Any
    ) -> FewShotResult:
        """Measures the accuracy with a few labels; see `evaluate_few_shot`.

        Args:
            x: Images, `(examples, ...)`.
            y: Class of each image, `(examples,)`.
            **kwargs: As for `evaluate_few_shot`.
        """
        return evaluate_few_shot(self, x, y, **kwargs)

    def _images(self, x: Any) -> np.ndarray:
        """Returns images as an array, for which the model is built."""
        if not (isinstance(x, list) or hasattr(x, "shape")):
            raise TypeError(
                "Images must be an array (examples, ...). "
                f"Received: x of type {type(x).__name__}"
            )
        images = np.asarray(ops.convert_to_numpy(x), "float32")
        if images.ndim < 2 or not images.size:
            raise ValueError(
                "Images must be an array (examples, ...) with one at least. "
                f"Received: an array of shape {images.shape}"
            )
        if not np.isfinite(images).all():
            raise ValueError(
                "Images must be finite. Received: images with "
                f"{int((~np.isfinite(images)).sum())} NaN or infinite entries"
            )
        self._check(images)
        return images

    def _check(self, x: Any) -> None:
        """Builds the model for images of this size, or refuses another."""
        shape = tuple(x.shape[1:])
        if None in shape:
            return
        if not self.built:
            self.build((None, *shape))
        size = int(np.prod(shape))
        if size != self.input_dim:
            raise ValueError(
                f"The model was built for images of {self.input_dim} numbers. "
                f"Received: images of shape {shape}, which are {size} "
                "numbers. Resize them, or make a new model."
            )

    presets = builtin_presets("LearnedRuleModel")
    """Metadata of the presets that are shipped with the library, by name."""

    @classmethod
    def from_preset(
        cls, preset: Any, units: Sequence[int] = (256,), **kwargs: Any
    ) -> "LearnedRuleModel":
        """Returns a model that has learned nothing, with a trained rule.

        Args:
            preset: Name of a shipped preset, one of `presets`; or path of a
                folder that `save_to_preset` wrote.
            units: Sizes of the layers, the embedding last.
            **kwargs: Further arguments of the constructor.
        """
        return cls(load_preset(cls, preset).rule, units, **kwargs)

    def save_to_preset(self, folder: Any, card: str | None = None) -> None:
        """Writes the model to a new folder that `from_preset` reads.

        Args:
            folder: Path of a folder that does not exist yet.
            card: Model card in Markdown.
        """
        save_preset(self, folder, card)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "rule": keras.saving.serialize_keras_object(self.rule),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def _refuse_labels(y: Any) -> None:
    if y is not None:
        raise ValueError(
            "The rule learns without labels: `y` must be None. "
            f"Received: y of type {type(y).__name__}. Pass labels to "
            "`evaluate`."
        )


def _refuse_unused(given: dict) -> None:
    """Refuses what `keras.Model.fit` takes and a rule has no use for."""
    names = "sample_weight", "class_weight", "validation_data"
    found = [name for name in names if given.get(name) is not None]
    if given.get("validation_split"):
        found.append("validation_split")
    if found:
        raise ValueError(
            "A rule trains without labels, on examples that weigh the same. "
            f"Received: {', '.join(found)}. Pass a `FewShotProbe` among the "
            "callbacks to follow the accuracy."
        )


class FewShotProbe(keras.callbacks.Callback):
    """Adds the accuracy with a few labels to the logs of `fit`.

    Logs `few_shot_accuracy` and `few_shot_error`, its standard error, at the
    end of epochs.

    Args:
        x: Images.
        y: Classes.
        every: Number of epochs from one probe to the next.
        **kwargs: As for `evaluate_few_shot`.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, every: int = 1, **kwargs: Any
    ) -> None:
        super().__init__()
        self.x, self.y, self.kwargs = x, y, kwargs
        self.every = check_count("every", every)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Probes the model."""
        if (epoch + 1) % self.every or logs is None:
            return
        result = evaluate_few_shot(self.model, self.x, self.y, **self.kwargs)
        logs["few_shot_accuracy"] = result.accuracy
        logs["few_shot_error"] = result.standard_error
