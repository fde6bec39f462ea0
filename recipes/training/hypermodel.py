"""A recipe as a `HyperModel` of KerasTuner."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from recipes.data.sequence_dataset import SetEpoch
from recipes.recipe import Recipe
from recipes.registry import recipe_of
from recipes.training.loop import Limits
from recipes.training.modelling import build_for
from recipes.training.run_folder import MONITOR

OBJECTIVE = keras_tuner.Objective(MONITOR, "max")


class RecipeHyperModel(keras_tuner.HyperModel):
    """Builds and trains the models of a search.

    All trials are judged by the same bound with the same noise on the
    validation split, whatever bound they are trained with. The result of a
    trial is that of its best epoch.

    Args:
        data: What the recipe's `load` gives.
        settings: As from the recipe's `tune_settings`: what is not searched,
            the limits of each trial, and `search`, the names of what is.

    Example:

    ```python
    recipe = recipe_of("bach")
    settings = recipe.tune_settings("bach", minutes=2.0)
    tuner = keras_tuner.BayesianOptimization(
        RecipeHyperModel(recipe.load(settings), settings),
        objective=OBJECTIVE,
        max_trials=12,
        directory="runs/notebook",
    )
    tuner.search()
    model = tuner.get_best_models()[0]
    ```
    """

    def __init__(self, data: Any, settings: Any):
        super().__init__()
        self.data = data
        self.settings = settings
        self.recipe = recipe_of(settings.data)
        self.progress = None

    def settings_at(self, hp: keras_tuner.HyperParameters) -> Any:
        """Returns the settings of a trial."""
        point = choose(hp, self.settings.search, self.recipe)
        return self.settings.changed(**point)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns a compiled model, adapted to the train split."""
        settings = self.settings_at(hp)
        train_data = self.recipe.train_batches(self.data, settings)
        return build_for(self.recipe, self.data, train_data, settings)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        epochs: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains a model within the limits of a trial.

        Args:
            hp: The point of the search space.
            model: What `build` gave.
            callbacks: Those of the tuner.
            epochs: The last epoch, where the tuner says so.
            **kwargs: Of `keras.Model.fit`.
        """
        settings = self.settings_at(hp)
        train_data = self.recipe.train_batches(self.data, settings)
        valid_data = self.recipe.evaluation_batches(
            self.data.split("valid"),
            settings.evaluation_particles,
            settings.latent_dim,
        )
        limits = Limits(settings, train_data, valid_data)
        self.progress = limits.progress
        return model.fit(
            train_data,
            validation_data=valid_data,
            epochs=epochs or math.ceil(settings.updates / len(train_data)),
            shuffle=False,
            callbacks=[SetEpoch(train_data), limits, *callbacks],
            **{"verbose": 0, **kwargs},
        )


def choose(
    hp: keras_tuner.HyperParameters, names: Sequence[str], space: Recipe
) -> dict[str, Any]:
    """Returns one point of the search space of a recipe, as settings."""
    chosen = {}
    for name in names:
        if name in space.ranges:
            low, high = space.ranges[name]
            chosen[name] = hp.Float(name, low, high, sampling="log")
        else:
            values = list(space.choices[name])
            ordered = not isinstance(values[0], str)
            chosen[name] = hp.Choice(name, values, ordered=ordered)
    return chosen
