"""How far a bound is from what it bounds, while a model trains."""

import keras

from recipes.ghmm.models import exact_per_step
from recipes.ghmm.plots import plot_training
from recipes.training.run_folder import MONITOR, RunFolder


class ExactGap(keras.callbacks.Callback):
    """Adds the exact log evidence to the logs, and draws the gap to it.

    After each validation the logs have `exact_per_step`, the log evidence of
    the validation data under the model as it is now, in nats per step, and
    `gap_per_step`, by how much the validation bound is below it. A gap may be
    below 0 by chance: the bound is random.

    Args:
        batches: `SequenceDataset` of the validation data.
        folder: Folder of the run, whose log is drawn to `gap.png` in it when
            training ends; needs matplotlib. Default: `None`, no picture.
    """

    def __init__(self, batches, folder=None):
        super().__init__()
        self.batches = batches
        self.folder = folder
        self._known = None

    def on_epoch_end(self, epoch, logs=None):
        if logs is None or MONITOR not in logs:
            return
        learned = self.model.cell.chain_weights.trainable_weights
        if self._known is None or learned:
            self._known = exact_per_step(self.model, self.batches)
        logs["exact_per_step"] = self._known
        logs["gap_per_step"] = self._known - float(logs[MONITOR])

    def on_train_end(self, logs=None):
        if self.folder is None:
            return
        folder = RunFolder(self.folder)
        rows = folder.read_log()
        if rows:
            plot_training(folder.path / "gap.png", rows)
