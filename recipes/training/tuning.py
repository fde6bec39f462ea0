"""Searches with KerasTuner that go on after being killed."""

import contextlib
import io
import pathlib
import time

import keras
import keras_tuner

from recipes.errors import FileError, reading, told_to_the_user
from recipes.storage import read_json
from recipes.training.loop import clock
from recipes.training.run_folder import MONITOR, write_json

_FACTS = {
    "seconds": float | int,
    "updates": int,
    "best_updates": int,
    "stopped_by": str,
}
_SEARCHES = {
    "random": keras_tuner.RandomSearch,
    "bayesian": keras_tuner.BayesianOptimization,
    "hyperband": keras_tuner.Hyperband,
}


def make_tuner(algorithm, hypermodel, folder, settings, max_epochs):
    """Returns a tuner that keeps its trials in a folder, or goes on.

    Args:
        algorithm: str. `"random"`, `"bayesian"` or `"hyperband"`.
        hypermodel: `keras_tuner.HyperModel` with `progress`.
        folder: Path of the folder.
        settings: Has `trials` and `seed`.
        max_epochs: int. Epochs of the longest trial of Hyperband.
    """
    search = _SEARCHES[algorithm]
    limit = (
        {"max_epochs": max_epochs, "factor": 3}
        if algorithm == "hyperband"
        else {"max_trials": settings.trials}
    )
    kind = type("ReportingTuner", (_Reporting, search), {})
    oracle = pathlib.Path(folder) / "search" / "oracle.json"
    with contextlib.ExitStack() as stack:
        # KerasTuner says "Reloading Tuner ...".
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if oracle.exists():
            stack.enter_context(told_to_the_user())
            advice = "Remove the folder to search anew."
            stack.enter_context(reading(oracle, "a search", advice))
        return kind(
            hypermodel,
            objective=keras_tuner.Objective(MONITOR, "max"),
            # A seed of 0 would be no seed to KerasTuner.
            seed=settings.seed + 1,
            directory=str(folder),
            project_name="search",
            **limit,
        )


class _Reporting:
    """Prints a line for each trial, and keeps how long it took."""

    def on_trial_begin(self, trial):
        super().on_trial_begin(trial)
        self._began = time.monotonic()
        self.hypermodel.progress = None
        print(f"trial {trial.trial_id}: {describe(trial)}", flush=True)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        seconds = time.monotonic() - self._began
        progress = self.hypermodel.progress
        trial = self.oracle.get_trial(trial.trial_id)
        path = f"{self.get_trial_dir(trial.trial_id)}/facts.json"
        write_json(
            path,
            {
                "seconds": round(seconds, 1),
                "updates": progress.updates if progress else 0,
                "best_updates": progress.best_updates if progress else 0,
                "stopped_by": progress.stopped_by if progress else "",
            },
        )
        if trial.score is None:
            reason = (trial.message or "").strip().splitlines()
            print(f"    {trial.status.lower()}: {(reason or ['?'])[-1]}")
        else:
            print(f"    {trial.score:.3f} nats per step, {clock(seconds)}")


def describe(trial):
    """Returns the point of a trial, in one line."""
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial.hyperparameters.values.items()
        if not name.startswith("tuner/")
    )


def trial_rows(tuner):
    """Returns the trials, the best first, as dicts."""
    rows = []
    trials = tuner.oracle.trials.values()
    for trial in sorted(trials, key=_rank):
        facts = {}
        # Not there if the trial failed or was killed.
        with contextlib.suppress(OSError, FileError):
            facts = read_json(
                f"{tuner.get_trial_dir(trial.trial_id)}/facts.json",
                "what is known of a trial",
                _FACTS,
            )
        rows.append(
            {
                "trial": trial.trial_id,
                "status": trial.status,
                MONITOR: trial.score,
                **facts,
                "settings": dict(trial.hyperparameters.values),
            }
        )
    return rows


def _rank(trial):
    return (trial.score is None, -(trial.score or 0.0), trial.trial_id)


def trial_table(rows, names):
    """Returns the trials as text.

    Args:
        rows: As from `trial_rows`.
        names: The settings that were searched.
    """
    widths = {name: max(len(name), 9) for name in names}
    lines = [
        f"{'trial':<6} {'nats/step':>9} {'updates':>8} {'time':>6}  "
        + " ".join(f"{name:>{widths[name]}}" for name in names)
    ]
    for row in rows:
        score = row[MONITOR]
        values = (row["settings"].get(name, "") for name in names)
        lines.append(
            f"{row['trial']:<6} "
            f"{row['status'].lower() if score is None else f'{score:.3f}':>9} "
            f"{row.get('best_updates', 0):>8} "
            f"{clock(row.get('seconds', 0)):>6}  "
            + " ".join(
                f"{_short(value):>{widths[name]}}"
                for name, value in zip(names, values, strict=True)
            )
        )
    return "\n".join(lines)


def _short(value):
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def best_model(tuner):
    """Returns the model of the best epoch of the best trial."""
    model = tuner.get_best_models(1)[0]
    if not isinstance(model, keras.Model):
        raise TypeError(f"Received: {model!r}")
    return model
