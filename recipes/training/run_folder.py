"""What a training run keeps on disk, whole at any moment."""

import csv
import json
import pathlib

import numpy as np

from recipes.errors import RecipeError, reading, told_to_the_user
from recipes.storage import (
    PARTIAL,
    atomic_path,
    check_kinds,
    read_json,
    remove,
)
from recipes.storage import write_json as write_json

MONITOR = "val_bound_per_step"
MAX_LOG_BYTES = 2**25
_RECORD = {"identity": dict, "settings": dict, "status": str}
_EVALUATION = {"bounds": dict, "num_particles": int}
_FINISHED = {
    "best": float | int | None,
    "best_updates": int,
    "updates": int,
    "seconds": float | int,
    "stopped_by": str,
}


class RunFolder:
    """The folder of one run.

    It holds `run.json` (the settings, versions and results), `best.keras`
    (the best model by the validation bound), `state.npz` (all that resuming
    needs), `log.csv` and `log.jsonl` (a line for each validation),
    `tensorboard/`, and `evaluation-SPLIT.json` (the bounds on a split, once
    it was evaluated). Each file but the logs appears whole or not at all.

    Args:
        path: Path of the folder; it need not exist.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path).expanduser()
        self.record_path = self.path / "run.json"
        self.best_path = self.path / "best.keras"
        self.state_path = self.path / "state.npz"
        self.csv_path = self.path / "log.csv"
        self.jsonl_path = self.path / "log.jsonl"

    def claim(self, identity, besides=()):
        """Makes sure that the folder is this run's or nobody's.

        What a run that was killed has left half written is removed.

        Args:
            identity: Dict of the settings that make a run this one.
            besides: Names of files that may be there before the run is.
                Default: none.

        Returns:
            The record of the run so far, or `None` for a new one.

        Raises:
            RecipeError: The folder holds another run, or other files.
        """
        record = self.read_record()
        if record is None:
            self._check_free(besides)
        else:
            self._check_identity(record["identity"], identity)
        if self.path.is_dir():
            for leftover in self.path.glob(f"{PARTIAL}*"):
                remove(leftover)
        return record

    def _check_free(self, besides):
        if self.path.exists() and not self.path.is_dir():
            raise RecipeError(
                "`run` must be a folder. "
                f"Received: run={str(self.path)!r}, which is a file."
            )
        if self.path.exists() and not all(
            item.name.startswith(PARTIAL) or item.name in besides
            for item in self.path.iterdir()
        ):
            raise RecipeError(
                "`run` must be a new folder, or that of a run to resume. "
                f"Received: run={str(self.path)!r}, which holds other "
                "files. Nothing was changed: choose another with run=..."
            )

    def _check_identity(self, theirs, identity):
        different = sorted(
            name
            for name in {*theirs, *identity}
            if theirs.get(name) != identity.get(name)
        )
        if different:
            listed = ", ".join(
                f"{name}={theirs.get(name)!r} there and "
                f"{identity.get(name)!r} here"
                for name in different[:4]
            )
            more = len(different) - 4
            listed += f", and {more} more" if more > 0 else ""
            raise RecipeError(
                f"The folder holds another run ({listed}). Nothing was "
                "changed: choose another folder with run=..., or remove it. "
                f"Received: run={str(self.path)!r}."
            )

    def read_record(self):
        """Returns the content of `run.json`, or `None`.

        Raises:
            RecipeError: It is damaged, or of another form.
        """
        if not self.record_path.is_file():
            return None
        with told_to_the_user():
            record = read_json(self.record_path, "the record of a run", _RECORD)
            of_fit = {} if "verb" in record["identity"] else {"started": str}
            if of_fit and record["status"] == "finished":
                of_fit |= _FINISHED
            check_kinds(self.record_path, record, of_fit)
            known = {"data": str | None, "data_path": str | None}
            check_kinds(self.record_path, record["settings"], known)
        return record

    def write_record(self, record):
        write_json(self.record_path, record)

    def evaluation_path(self, split):
        """Tells where `evaluate` writes the bounds on a split."""
        return self.path / f"evaluation-{split}.json"

    def read_evaluation(self, split):
        """Returns what `evaluate` found on a split, or `None`.

        Raises:
            RecipeError: The file is damaged, or of another form.
        """
        path = self.evaluation_path(split)
        if not path.is_file():
            return None
        with told_to_the_user():
            return read_json(path, "an evaluation", _EVALUATION)

    def save_best(self, model):
        """Saves the model, whole or not at all."""
        with atomic_path(self.best_path) as partial:
            model.save(partial)

    def save_state(self, model, progress):
        """Saves weights, optimizer, seeds and where training is.

        Args:
            model: A compiled, built model.
            progress: Dict that JSON can hold.
        """
        arrays = {
            name: np.asarray(variable)
            for name, variable in _variables(model).items()
        }
        arrays["progress"] = np.array(json.dumps(progress))
        with atomic_path(self.state_path) as partial:
            np.savez(partial, **arrays)

    def load_state(self, model):
        """Restores what `save_state` saved.

        Returns:
            Its `progress`, or `None` if there is no state.

        Raises:
            RecipeError: It is damaged, or of another model. The model is as
                it was.
        """
        if not self.state_path.is_file():
            return None
        from keras_fivo import load_arrays

        with told_to_the_user():
            arrays = load_arrays(self.state_path)
            with reading(self.state_path, "the state of a run"):
                progress = json.loads(str(arrays.pop("progress")))
        variables = _variables(model)
        found = {name: (x.shape, x.dtype) for name, x in arrays.items()}
        if found != {
            name: (tuple(variable.shape), np.asarray(variable).dtype)
            for name, variable in variables.items()
        }:
            raise RecipeError(
                "The state of the run is not of this model: it was made "
                "by another version. Remove the folder, or choose "
                f"another. Received: path={self.state_path!s}."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return progress

    def append_log(self, row):
        """Adds a line to both logs."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.jsonl_path, "a") as file:
            file.write(json.dumps(row) + "\n")
        is_new = not self.csv_path.exists()
        with open(self.csv_path, "a", newline="") as file:
            _write_rows(file, [row], is_new)

    def cut_logs(self, epoch):
        """Drops the lines after this many epochs, which are to come again.

        `log.jsonl` tells; `log.csv` is written anew from it.
        """
        rows = [row for row in self.read_log() if row["epoch"] <= epoch]
        if not rows:
            self.jsonl_path.unlink(missing_ok=True)
            self.csv_path.unlink(missing_ok=True)
            return
        with atomic_path(self.jsonl_path) as partial:
            lines = [json.dumps(row) + "\n" for row in rows]
            partial.write_text("".join(lines))
        with atomic_path(self.csv_path) as partial:
            with open(partial, "w", newline="") as file:
                _write_rows(file, rows, True)

    def read_log(self):
        """Returns the lines of the log, as dicts.

        Raises:
            RecipeError: A line is not of a log.
        """
        if not self.jsonl_path.is_file():
            return []
        expected, advice = "the log of a run", "Remove it to go on without."
        with told_to_the_user(), reading(self.jsonl_path, expected, advice):
            if self.jsonl_path.stat().st_size > MAX_LOG_BYTES:
                raise ValueError(f"more than {MAX_LOG_BYTES} bytes")
            *lines, _ = self.jsonl_path.read_text().split("\n")
            # What follows the last newline was cut short by a kill.
            rows = [json.loads(line) for line in lines]
            if not all(isinstance(row["epoch"], int) for row in rows):
                raise TypeError("an epoch that is no integer")
        return rows


def _write_rows(file, rows, with_header):
    writer = csv.DictWriter(file, list(rows[0]))
    if with_header:
        writer.writeheader()
    writer.writerows(rows)


def _variables(model):
    # The seeds are among the model's own; metrics start anew each epoch.
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [v for v in model.variables if id(v) not in metrics]
    return {
        f"variable_{index}": variable
        for index, variable in enumerate([*own, *model.optimizer.variables])
    }
