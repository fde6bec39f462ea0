"""Kills a run before each change that it makes on the disk.

`python -m tests.recipes.kill_points FOLDER` prints, as JSON, what was wrong.
Each run is a fork of this process. The model is a stand-in, whose training is
quick, and so is Keras, which would make each fork slow: `train`, the folder
and what they write are real.
"""

import csv
import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import sys
import types

import numpy as np


class Callback:
    """Hears of training."""

    def set_model(self, model):
        self.model = model

    def on_train_begin(self):
        pass

    def on_train_end(self):
        pass

    def on_epoch_begin(self, epoch):
        pass

    def on_train_batch_begin(self, batch):
        pass

    def on_train_batch_end(self, batch):
        pass

    def on_epoch_end(self, epoch, logs):
        pass


def stand_in(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)


def library_file(name):
    """A file of the library that needs no Keras, without the rest."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = root / "keras_fivo" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_in(
    "keras",
    callbacks=types.SimpleNamespace(Callback=Callback),
    utils=types.SimpleNamespace(PyDataset=object),
)
stand_in("keras_fivo", load_arrays=library_file("arrays").load_arrays)

from recipes.training.loop import train  # noqa: E402
from recipes.training.run_folder import RunFolder  # noqa: E402

IDENTITY = {"data": "songs", "updates": 14}
SETTINGS = types.SimpleNamespace(
    updates=14,
    validate_every=2,
    minutes=None,
    cpu_minutes=None,
    patience=9,
    tensorboard=False,
)
BOUNDS = [-9.0, -7.0, -8.0, -6.0, -6.5, -5.0, -5.5]
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Variable:
    """A weight, as far as `RunFolder` asks."""

    def __init__(self):
        self.value = np.zeros(3, "float32")
        self.shape = self.value.shape

    def assign(self, value):
        self.value = np.array(value)

    def __array__(self, dtype=None, copy=None):
        return self.value


class Model:
    """A model whose `fit` only counts, and calls what Keras calls."""

    metrics_variables = ()

    def __init__(self):
        self.variables = [Variable(), Variable()]
        self.optimizer = types.SimpleNamespace(variables=[Variable()])

    def save(self, path):
        path.write_bytes(self.variables[0].value.tobytes())

    def fit(self, data, validation_freq, epochs, initial_epoch, **options):
        self.stop_training = False
        callbacks = options["callbacks"]
        for callback in callbacks:
            callback.model = self
            callback.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            for batch in range(len(data)):
                for callback in callbacks:
                    callback.on_train_batch_begin(batch)
                for variable in self.variables:
                    variable.assign(variable.value + epoch + batch)
                for callback in callbacks:
                    callback.on_train_batch_end(batch)
            logs = {"bound_per_step": -9.0, "skipped_updates": 0.0}
            logs |= {"ess": 2.0, "kl_per_step": 1.0}
            if epoch + 1 in validation_freq:
                logs["val_bound_per_step"] = BOUNDS[epoch]
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        for callback in callbacks:
            callback.on_train_end()


class Picture(Callback):
    """What a recipe adds at the end."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self):
        self.path.write_text("drawn")


class Data(list):
    """Two batches an epoch."""

    epoch = 0

    def padded_lengths(self):
        return self


def run(path):
    """What `fit` does with its folder."""
    folder = RunFolder(path)
    record = folder.claim(IDENTITY)
    if record and record["status"] == "finished":
        return
    record = {"identity": IDENTITY, "settings": {}, "started": "today"}
    folder.write_record(record | {"status": "running"})
    arguments = Model(), Data([5, 7]), Data(), folder, SETTINGS, False
    progress = train(*arguments, [Picture(path / "picture.txt")])
    record |= {"status": "finished"} | dataclasses.asdict(progress)
    folder.write_record(record)


def run_in_fork(path, kill_at=None):
    """Runs; gives the number of changes that were begun, and how it ended."""
    receive, send = os.pipe()
    child = os.fork()
    if child:
        os.close(send)
        with os.fdopen(receive, "rb") as pipe:
            num_changes = len(pipe.read())
        return num_changes, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    num_changes = 0

    def count(event, arguments):
        nonlocal num_changes
        changes = event in _CHANGES or (
            event == "open" and (arguments[2] or 0) & _WRITING
        )
        if changes and str(arguments[0]).startswith(str(path)):
            num_changes += 1
            if num_changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(send, b".")

    code = 1
    try:
        sys.addaudithook(count)
        run(path)
        code = 0
    finally:
        os._exit(code)


def outcome(path):
    """What a run leaves, without what the clock says."""
    with np.load(path / "state.npz") as state:
        arrays = [state[name].tolist() for name in sorted(state.files)[1:]]
        progress = json.loads(str(state["progress"]))
    record = json.loads((path / "run.json").read_text())
    log = [
        json.loads(line)
        for line in (path / "log.jsonl").read_text().splitlines()
    ]
    with open(path / "log.csv") as file:
        table = list(csv.DictReader(file))
    dicts = [progress, record, *log, *table]
    return (
        sorted(item.name for item in path.iterdir()),
        (path / "best.keras").read_bytes().hex(),
        arrays,
        [
            {k: v for k, v in each.items() if "seconds" not in k}
            for each in dicts
        ],
    )


def faults_of(folder):
    """What goes wrong where a run is killed, and killed while it resumes."""
    whole, cut = folder / "whole", folder / "cut"
    num_changes, code = run_in_fork(whole)
    if code:
        return ["the whole run fails"], 0
    expected, faults, num_kills = outcome(whole), [], 0
    for first in range(1, num_changes + 1):
        # While resuming too, where the first kill was in the middle.
        kills = [(first,)]
        if first == num_changes // 2:
            kills += [(first, second) for second in range(1, num_changes)]
        for kill in kills:
            shutil.rmtree(cut, ignore_errors=True)
            codes = [run_in_fork(cut, kill_at)[1] for kill_at in kill]
            num_kills += codes.count(-signal.SIGKILL)
            if run_in_fork(cut)[1]:
                faults.append(f"refused after {kill}")
            elif outcome(cut) != expected:
                faults.append(f"another outcome after {kill}")
    return faults, num_kills


if __name__ == "__main__":
    found, total = faults_of(pathlib.Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"faults": found, "num_kills": total}))
