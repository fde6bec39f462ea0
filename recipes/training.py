"""Training that can be killed at any time, and resumed by the same command."""

import dataclasses
import importlib.util
import math
import sys
import time

import keras

from recipes.run_folder import MONITOR
from recipes.sequence_dataset import SetEpoch


@dataclasses.dataclass
class Progress:
    """How far training has come; what a resumed run goes on from.

    Attributes:
        epoch: int. Epochs that are complete.
        updates: int.
        seconds: float. By the clock, over all sessions.
        cpu_seconds: float. Of the processor, over all sessions.
        best: float or None. Best validation bound, in nats per step.
        best_epoch: int. Epochs after which it was reached.
        best_updates: int.
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


class Supervisor(keras.callbacks.Callback):
    """Keeps the best model, logs, stops, and saves the state of training.

    Args:
        folder: `RunFolder`.
        settings: Has `updates`, `minutes`, `cpu_minutes`, `patience`.
        progress: `Progress` to go on from.
        report: Called with each row of the log and whether it is the best
            so far.
        state_every: float. Seconds between saved states, besides those at
            each better bound. Default: 10.
    """

    def __init__(self, folder, settings, progress, report, state_every=10.0):
        super().__init__()
        self.folder = folder
        self.settings = settings
        self.progress = progress
        self.report = report
        self.state_every = state_every
        self._saved_at = 0.0

    def on_train_begin(self, logs=None):
        self._start = time.monotonic() - self.progress.seconds
        self._cpu_start = time.process_time() - self.progress.cpu_seconds

    def on_train_batch_end(self, batch, logs=None):
        progress = self.progress
        progress.updates += 1
        self._read_clocks()
        limits = (
            ("updates", progress.updates, self.settings.updates),
            ("minutes", progress.seconds / 60, self.settings.minutes),
            (
                "cpu_minutes",
                progress.cpu_seconds / 60,
                self.settings.cpu_minutes,
            ),
        )
        for name, reached, limit in limits:
            if limit is not None and reached >= limit:
                progress.stopped_by = name
                self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        progress = self.progress
        progress.epoch = epoch + 1
        progress.skipped_updates += int(logs["skipped_updates"])
        value = logs.get(MONITOR)
        improved = False
        if value is not None:
            improved = self._judge(float(value))
            self._read_clocks()
            row = self._row(logs)
            self.folder.append_log(row)
            self.report(row, improved)
        if improved:
            self.folder.save_best(self.model)
        now = time.monotonic()
        due = now - self._saved_at > self.state_every
        if improved or due or progress.stopped_by:
            self._read_clocks()
            self.folder.save_state(self.model, dataclasses.asdict(progress))
            self._saved_at = time.monotonic()

    def _judge(self, value):
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

    def _row(self, logs):
        progress = self.progress
        row = {
            "epoch": progress.epoch,
            "updates": progress.updates,
            "seconds": round(progress.seconds, 2),
            "cpu_seconds": round(progress.cpu_seconds, 2),
        }
        return row | {name: float(logs[name]) for name in sorted(logs)}

    def _read_clocks(self):
        self.progress.seconds = time.monotonic() - self._start
        self.progress.cpu_seconds = time.process_time() - self._cpu_start


class Console(keras.callbacks.Callback):
    """A line for each validation and, on a terminal, one that moves.

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
        self._shown_at = 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if not self._moving or now - self._shown_at < 0.2:
            return
        self._shown_at = now
        done = min(1.0, self.progress.updates / self.settings.updates)
        bar = "=" * int(24 * done)
        text = (
            f"  [{bar:<24}] {self.progress.updates} updates, epoch "
            f"{self.progress.epoch + 1}, {clock(self.progress.seconds)}"
        )
        print(f"\r{text:<78}", end="", flush=True)

    def print_row(self, row, improved):
        if not self.verbose:
            return
        text = (
            f"{row['updates']:>8} {row['epoch']:>6} "
            f"{row['bound_per_step']:>9.3f} {row[MONITOR]:>11.3f}"
            f"{' *' if improved else '  '} {row['ess']:>6.2f} "
            f"{row['kl_per_step']:>6.2f} {clock(row['seconds']):>8}"
        )
        print(("\r" if self._moving else "") + f"{text:<78}".rstrip())
        sys.stdout.flush()

    def print_header(self):
        if self.verbose:
            print(
                f"{'updates':>8} {'epoch':>6} {'training':>9} "
                f"{'validation':>11}   {'ESS':>6} {'KL':>6} {'time':>8}"
            )


def clock(seconds):
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def train(model, train_data, valid_data, folder, settings, verbose=True):
    """Trains a model, or goes on where its folder says.

    Args:
        model: A compiled model.
        train_data: `SequenceDataset`.
        valid_data: `SequenceDataset` that is not shuffled.
        folder: `RunFolder`.
        settings: As `recipes.pianoroll.config.FitSettings`.
        verbose: bool. Default: `True`.

    Returns:
        `Progress`.
    """
    progress = Progress(**(folder.load_state(model) or {}))
    folder.cut_logs(progress.epoch)
    if progress.stopped_by:
        return progress
    if verbose and progress.epoch:
        print(f"Resuming after {progress.updates} updates.")
    per_epoch = len(train_data)
    console = Console(progress, settings, verbose)
    supervisor = Supervisor(folder, settings, progress, console.print_row)
    callbacks = [SetEpoch(train_data), supervisor, console]
    if settings.tensorboard and importlib.util.find_spec("tensorflow"):
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(folder.path / "tensorboard"), write_graph=False
            )
        )
    elif settings.tensorboard and verbose:
        print("No logs for TensorBoard: TensorFlow is not installed.")
    console.print_header()
    epochs = math.ceil(settings.updates / per_epoch)
    model.fit(
        train_data,
        validation_data=valid_data,
        validation_freq=_validation_epochs(settings, per_epoch, epochs),
        epochs=epochs,
        initial_epoch=progress.epoch,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    if not progress.stopped_by:
        raise RuntimeError("Training ended without a reason.")
    return progress


def _validation_epochs(settings, per_epoch, epochs):
    """The epochs, from 1, after which to validate; the last is one."""
    every = math.ceil(settings.validate_every / per_epoch)
    return [*range(every, epochs, every), epochs]
