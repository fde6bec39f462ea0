"""Training that can be killed at any time, and resumed by the same command."""

import collections
import dataclasses
import importlib.util
import math
import sys
import time

import keras
import tqdm

from recipes.data.sequence_dataset import SetEpoch
from recipes.errors import RecipeError, told_to_the_user
from recipes.storage import check_kinds
from recipes.training.run_folder import MONITOR

# Batches of a length that may compile: PyTorch does in the second.
_COMPILING = 2
_SILENCE = 20.0  # seconds after which there is a sign of life


@dataclasses.dataclass
class Progress:
    """How far training has come; what a resumed run goes on from.

    Attributes:
        epoch: int. Epochs that are complete.
        updates: Number of updates so far.
        seconds: float. Time by the clock of all sessions, less compilation.
        cpu_seconds: float. Processor time, likewise.
        best: float or None. Best validation bound, in nats per step.
        best_epoch: int. Epochs after which it was reached.
        best_updates: Number of updates after which it was reached.
        wait: int. Validations since then.
        skipped_updates: int. Updates whose gradient was not finite.
        stopped_by: str. What ended training; empty while it goes on.
    """

    epoch: int = 0
    updates: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    best_updates: int = 0
    wait: int = 0
    skipped_updates: int = 0
    stopped_by: str = ""


class Limits(keras.callbacks.Callback):
    """Stops training at the first limit, and tells what the best bound is.

    The first batches of each padded length are left out of the time: they
    compile. Otherwise a short limit would be over before training begins.

    Args:
        settings: Has `updates`, `minutes`, `cpu_minutes` and `patience`.
        train_data: `SequenceDataset` of the training.
        valid_data: `SequenceDataset` of the validation.
        progress: `Progress` to go on from. Default: that of a start.
    """

    def __init__(self, settings, train_data, valid_data, progress=None):
        super().__init__()
        self.settings = settings
        self.progress = Progress() if progress is None else progress
        self._train_data, self._valid_data = train_data, valid_data
        self._batches = collections.Counter()

    def on_train_begin(self, logs=None):
        self._start = time.monotonic() - self.progress.seconds
        self._cpu_start = time.process_time() - self.progress.cpu_seconds

    def on_epoch_begin(self, epoch, logs=None):
        # What is read ahead may change the order before the epoch ends.
        self._train_lengths = self._train_data.padded_lengths()

    def on_test_begin(self, logs=None):
        self._valid_lengths = self._valid_data.padded_lengths()

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.monotonic(), time.process_time()

    on_test_batch_begin = on_train_batch_begin

    def on_test_batch_end(self, batch, logs=None):
        self._leave_out_compilation("valid", self._valid_lengths[batch])

    def on_train_batch_end(self, batch, logs=None):
        progress, settings = self.progress, self.settings
        progress.updates += 1
        self._leave_out_compilation("train", self._train_lengths[batch])
        self.read_clocks()
        for name, reached in (
            ("updates", progress.updates),
            ("minutes", progress.seconds / 60),
            ("cpu_minutes", progress.cpu_seconds / 60),
        ):
            limit = getattr(settings, name)
            if limit is not None and reached >= limit:
                progress.stopped_by = progress.stopped_by or name
                self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.progress.epoch = epoch + 1
        self.progress.skipped_updates += int(logs["skipped_updates"])
        if MONITOR in logs:
            self.judge(float(logs[MONITOR]))
            self.read_clocks()

    def judge(self, value):
        """Notes a validation bound; tells whether it is the best so far."""
        progress = self.progress
        if math.isfinite(value) and (
            progress.best is None or value > progress.best
        ):
            progress.best, progress.wait = value, 0
            progress.best_epoch = progress.epoch
            progress.best_updates = progress.updates
            return True
        progress.wait += 1
        if progress.wait >= self.settings.patience:
            progress.stopped_by = progress.stopped_by or "patience"
            self.model.stop_training = True
        return False

    def read_clocks(self):
        """Brings the seconds of the progress up to date."""
        self.progress.seconds = time.monotonic() - self._start
        self.progress.cpu_seconds = time.process_time() - self._cpu_start

    def _leave_out_compilation(self, split, length):
        self._batches[split, length] += 1
        if self._batches[split, length] <= _COMPILING:
            began, cpu_began = self._began
            self._start += time.monotonic() - began
            self._cpu_start += time.process_time() - cpu_began


class Supervisor(Limits):
    """Keeps the best model, logs, and saves the state of training.

    Args:
        folder: `RunFolder`.
        report: Called with each row of the log and whether it is the best
            so far.
        *arguments: As for `Limits`.
        state_every: float. Seconds between saved states, besides those at
            each better bound. Default: 10.
    """

    def __init__(self, folder, report, *arguments, state_every=10.0):
        super().__init__(*arguments)
        self.folder = folder
        self.report = report
        self.state_every = state_every
        self._saved_at = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        progress = self.progress
        super().on_epoch_end(epoch, logs)
        improved = MONITOR in logs and progress.best_epoch == progress.epoch
        if MONITOR in logs:
            row = self._row(logs)
            self.folder.append_log(row)
            self.report(row, improved)
        if improved:
            self.folder.save_best(self.model)
        due = time.monotonic() - self._saved_at > self.state_every
        if improved or due or progress.stopped_by:
            self.read_clocks()
            self.folder.save_state(self.model, dataclasses.asdict(progress))
            self._saved_at = time.monotonic()

    def _row(self, logs):
        progress = self.progress
        row = {
            "epoch": progress.epoch,
            "updates": progress.updates,
            "seconds": round(progress.seconds, 2),
            "cpu_seconds": round(progress.cpu_seconds, 2),
        }
        return row | {name: float(logs[name]) for name in sorted(logs)}


class Console(keras.callbacks.Callback):
    """A line for each validation, and signs of life before it.

    Args:
        progress: `Progress` of the supervisor, which comes first.
        settings: Has `updates`.
        verbose: bool. Whether to print at all.
    """

    def __init__(self, progress, settings, verbose=True):
        super().__init__()
        self.progress = progress
        self.settings = settings
        self.verbose = verbose
        self._moving = verbose and sys.stdout.isatty()

    def on_train_begin(self, logs=None):
        self._began = self._told_at = time.monotonic()
        self._bar = tqdm.tqdm(
            total=self.settings.updates,
            initial=self.progress.updates,
            unit=" updates",
            file=sys.stdout,
            leave=False,
            disable=not self._moving,
        )
        self._say(
            f"{'updates':>8} {'epoch':>6} {'training':>9} "
            f"{'validation':>11}   {'ESS':>6} {'KL':>6} {'time':>8}"
        )
        self._say("Compiling the first updates ...")
        self._first = True

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update()
        now = time.monotonic()
        if self._first:
            self._say(f"First update after {now - self._began:.0f} s.")
            self._first = False
        elif not self._moving and now - self._told_at > _SILENCE:
            self._say(
                f"{self.progress.updates:>8} {self.progress.epoch + 1:>6}"
            )

    def on_train_end(self, logs=None):
        self._bar.close()

    def print_row(self, row, improved):
        self._say(
            f"{row['updates']:>8} {row['epoch']:>6} "
            f"{row['bound_per_step']:>9.3f} {row[MONITOR]:>11.3f}"
            f"{' *' if improved else '  '} {row['ess']:>6.2f} "
            f"{row['kl_per_step']:>6.2f} {clock(row['seconds']):>8}"
        )

    def _say(self, text):
        if self.verbose:
            tqdm.tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()
        self._told_at = time.monotonic()


def clock(seconds):
    """Returns seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def train(
    model,
    train_data,
    valid_data,
    folder,
    settings,
    verbose=True,
    callbacks=(),
):
    """Trains a model, or goes on where its folder says.

    Args:
        model: A compiled model.
        train_data: `SequenceDataset`.
        valid_data: `SequenceDataset` that is not shuffled.
        folder: `RunFolder`.
        settings: `recipes.settings.common.FitSettings`.
        verbose: bool. Default: `True`.
        callbacks: Those of the recipe; they come first, and may add to the
            logs. Default: none.

    Returns:
        `Progress`.
    """
    per_epoch = len(train_data)
    epochs = math.ceil(settings.updates / per_epoch)
    progress = _progress_of(folder, model, epochs)
    folder.cut_logs(progress.epoch)
    if progress.stopped_by:
        # A kill may have come before the recipe's callbacks were done.
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_end()
        return progress
    if verbose and progress.epoch:
        print(f"Resuming after {progress.updates} updates.")
    console = Console(progress, settings, verbose)
    supervisor = Supervisor(
        folder, console.print_row, settings, train_data, valid_data, progress
    )
    callbacks = [*callbacks, SetEpoch(train_data), supervisor, console]
    if settings.tensorboard and importlib.util.find_spec("tensorflow"):
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(folder.path / "tensorboard"), write_graph=False
            )
        )
    elif settings.tensorboard and verbose:
        print("No logs for TensorBoard: TensorFlow is not installed.")
    model.fit(
        train_data,
        validation_data=valid_data,
        validation_freq=ValidationEpochs(
            model, math.ceil(settings.validate_every / per_epoch), epochs
        ),
        epochs=epochs,
        initial_epoch=progress.epoch,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    if not progress.stopped_by:
        raise RuntimeError("Training ended without a reason.")
    return progress


def _progress_of(folder, model, epochs):
    """Restores the state of training; gives how far it has come."""
    state = folder.load_state(model)
    if state is None:
        return Progress()
    kinds = {field.name: field.type for field in dataclasses.fields(Progress)}
    with told_to_the_user():
        check_kinds(folder.state_path, state, kinds)
    if not 0 <= state["epoch"] <= epochs:
        raise RecipeError(
            f"The state of a run must be of 0 to {epochs} epochs. Remove the "
            f"folder. Received: {folder.state_path!s} of {state['epoch']}."
        )
    return Progress(**{name: state[name] for name in kinds})


class ValidationEpochs(list):
    """The epochs, from 1, after which Keras is to validate.

    Every so many, and whenever training stops: Keras knows no rule but a
    list.
    """

    def __init__(self, model, every, last):
        super().__init__()
        self.model, self.every, self.last = model, every, last

    def __contains__(self, epoch):
        due = epoch % self.every == 0 or epoch == self.last
        return due or self.model.stop_training
