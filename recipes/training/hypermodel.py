"""A recipe as a `HyperModel` of KerasTuner."""

import dataclasses
import math

import keras_tuner

from recipes.data.sequence_dataset import SetEpoch
from recipes.registry import name_for, recipe_of
from recipes.training.loop import Limits
from recipes.training.modelling import build_for
from recipes.training.run_folder import MONITOR
from recipes.training.search import choose, space_of

OBJECTIVE = keras_tuner.Objective(MONITOR, "max")


class RecipeHyperModel(keras_tuner.HyperModel):
    """Builds and trains the models of a search.

    All trials are judged by the same bound with the same noise on the
    validation split, whatever bound they are trained with. The result of a
    trial is that of its best epoch.

    Args:
        data: What the recipe's `load` gives.
        settings: `TuneSettings` of the recipe: what is not searched, the
            limits of each trial, and `search`, the names of what is.

    Example:

    ```python
    settings = TuneSettings(data="bach", minutes=2.0)
    tuner = keras_tuner.BayesianOptimization(
        RecipeHyperModel(load("bach"), settings),
        objective=OBJECTIVE,
        max_trials=12,
        directory="runs/notebook",
    )
    tuner.search()
    model = tuner.get_best_models()[0]
    ```
    """

    def __init__(self, data, settings):
        super().__init__()
        self.data = data
        self.settings = settings
        name = name_for(settings.data)
        self.recipe = recipe_of(name)
        self.space = space_of(name)
        self.progress = None

    def settings_at(self, hp):
        """The settings of a trial."""
        return dataclasses.replace(
            self.settings, **choose(hp, self.settings.search, self.space)
        )

    def build(self, hp):
        """A compiled model, adapted to the train split."""
        settings = self.settings_at(hp)
        train_data = self.recipe.train_batches(self.data, settings)
        return build_for(self.recipe, self.data, train_data, settings)

    def fit(self, hp, model, callbacks=(), epochs=None, **kwargs):
        """Trains a model within the limits of a trial.

        Args:
            hp: `keras_tuner.HyperParameters`.
            model: What `build` gave.
            callbacks: Those of the tuner.
            epochs: int. The last epoch, where the tuner says so.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        settings = self.settings_at(hp)
        train_data = self.recipe.train_batches(self.data, settings)
        limits = Limits(settings)
        self.progress = limits.progress
        return model.fit(
            train_data,
            validation_data=self.recipe.evaluation_batches(
                self.data.split("valid"),
                settings.evaluation_particles,
                settings.latent_dim,
            ),
            epochs=epochs or math.ceil(settings.updates / len(train_data)),
            shuffle=False,
            callbacks=[SetEpoch(train_data), limits, *callbacks],
            **{"verbose": 0, **kwargs},
        )
