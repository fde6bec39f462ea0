"""The piano-roll recipe as a `HyperModel` of KerasTuner."""

import dataclasses
import math

import keras_tuner

from recipes.modelling import build_model
from recipes.pianoroll.batches import evaluation_batches, train_batches
from recipes.pianoroll.config import TuneSettings
from recipes.pianoroll.search_space import choose
from recipes.run_folder import MONITOR
from recipes.sequence_dataset import SetEpoch
from recipes.training import Limits

OBJECTIVE = keras_tuner.Objective(MONITOR, "max")


class PianoRollHyperModel(keras_tuner.HyperModel):
    """Builds and trains the models of a search.

    All trials are judged by the same bound with the same noise on the
    validation split, whatever bound they are trained with. The result of a
    trial is that of its best epoch.

    Args:
        rolls: `PianoRolls`.
        settings: `TuneSettings`: what is not searched, the limits of each
            trial, and `search`, the names of what is. Default: the defaults.

    Example:

    ```python
    rolls = load("bach")
    tuner = keras_tuner.BayesianOptimization(
        PianoRollHyperModel(rolls, TuneSettings(minutes=2.0)),
        objective=OBJECTIVE,
        max_trials=12,
        directory="runs/notebook",
    )
    tuner.search()
    model = tuner.get_best_models()[0]
    ```
    """

    def __init__(self, rolls, settings=None):
        super().__init__()
        self.rolls = rolls
        self.settings = settings or TuneSettings()
        self.progress = None

    def settings_at(self, hp):
        """The settings of a trial."""
        return dataclasses.replace(
            self.settings, **choose(hp, self.settings.search)
        )

    def build(self, hp):
        """A compiled model, adapted to the train split."""
        settings = self.settings_at(hp)
        train_data = train_batches(self.rolls, settings)
        return build_model(settings, train_data, "bernoulli")

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
        train_data = train_batches(self.rolls, settings)
        limits = Limits(settings)
        self.progress = limits.progress
        return model.fit(
            train_data,
            validation_data=evaluation_batches(
                self.rolls.valid,
                settings.evaluation_particles,
                settings.latent_dim,
            ),
            epochs=epochs or math.ceil(settings.updates / len(train_data)),
            shuffle=False,
            callbacks=[SetEpoch(train_data), limits, *callbacks],
            **{"verbose": 0, **kwargs},
        )
