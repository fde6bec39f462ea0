"""What a training run keeps on disk, whole at any moment."""

import csv
import json
import pathlib

import numpy as np

from recipes.errors import RecipeError
from recipes.storage import atomic_path

MONITOR = "val_bound_per_step"


class RunFolder:
    """The folder of one run.

    It holds `run.json` (the settings, versions and results), `best.keras`
    (the best model by the validation bound), `state.npz` (all that resuming
    needs), `log.csv` and `log.jsonl` (a line for each validation), and
    `tensorboard/`. Each file but the logs appears whole or not at all.

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

    def claim(self, identity):
        """Makes sure that the folder is this run's or nobody's.

        Args:
            identity: Dict of the settings that make a run this one.

        Returns:
            The record of the run so far, or `None` for a new one.

        Raises:
            RecipeError: The folder holds another run, or other files.
        """
        record = self.read_record()
        if record is None:
            if self.path.exists() and not self.path.is_dir():
                raise RecipeError(
                    "`run` must be a folder. "
                    f"Received: run={str(self.path)!r}, which is a file."
                )
            if self.path.exists() and any(self.path.iterdir()):
                raise RecipeError(
                    "`run` must be a new folder, or that of a run to resume. "
                    f"Received: run={str(self.path)!r}, which holds other "
                    "files. Nothing was changed: choose another with run=..."
                )
            return None
        theirs = record["identity"]
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
        return record

    def read_record(self):
        """The content of `run.json`, or `None`."""
        if not self.record_path.is_file():
            return None
        try:
            record = json.loads(self.record_path.read_text())
            record["identity"], record["settings"]
        except (ValueError, TypeError, KeyError) as error:
            raise RecipeError(
                "The record of the run cannot be read "
                f"({type(error).__name__}: {error}). "
                f"Received: run={str(self.path)!r}."
            ) from error
        return record

    def write_record(self, record):
        write_json(self.record_path, record)

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
            f"variable_{index}": np.asarray(variable)
            for index, variable in enumerate(_variables(model))
        }
        arrays["progress"] = np.array(json.dumps(progress))
        with atomic_path(self.state_path) as partial:
            np.savez(partial, **arrays)

    def load_state(self, model):
        """Restores what `save_state` saved.

        Returns:
            Its `progress`, or `None` if there is no state.
        """
        if not self.state_path.is_file():
            return None
        variables = _variables(model)
        with np.load(self.state_path, allow_pickle=False) as state:
            if len(state.files) != len(variables) + 1:
                raise RecipeError(
                    "The state of the run is not of this model: it was made "
                    "by another version. Remove the folder, or choose "
                    f"another. Received: run={str(self.path)!r}."
                )
            for index, variable in enumerate(variables):
                variable.assign(state[f"variable_{index}"])
            return json.loads(str(state["progress"]))

    def append_log(self, row):
        """Adds a line to both logs."""
        self.path.mkdir(parents=True, exist_ok=True)
        is_new = not self.csv_path.exists()
        with open(self.csv_path, "a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        with open(self.jsonl_path, "a") as file:
            file.write(json.dumps(row) + "\n")

    def cut_logs(self, epoch):
        """Drops the lines after this many epochs, which are to come again."""
        rows = [row for row in self.read_log() if row["epoch"] <= epoch]
        for path in (self.csv_path, self.jsonl_path):
            path.unlink(missing_ok=True)
        for row in rows:
            self.append_log(row)

    def read_log(self):
        """The lines of the log, as dicts."""
        if not self.jsonl_path.is_file():
            return []
        rows = []
        for line in self.jsonl_path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:  # cut short when the run was killed
                break
        return rows


def write_json(path, content):
    """Writes a JSON file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def _variables(model):
    # The seeds are among the model's own; metrics start anew each epoch.
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [v for v in model.variables if id(v) not in metrics]
    return own + list(model.optimizer.variables)
