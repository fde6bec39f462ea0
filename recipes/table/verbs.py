"""What `fit`, `forecast`, `backtest` and `tune` do with a table."""

import datetime
import pathlib
import shlex

import keras
import numpy as np

from keras_fivo import structural
from recipes.errors import FileError, RecipeError, told_to_the_user
from recipes.pictures import has_matplotlib
from recipes.settings.program import this_program
from recipes.storage import read_json
from recipes.table import backtest, output
from recipes.table.baselines import check_baselines
from recipes.table.config import BacktestSettings, FitSettings
from recipes.table.data import load
from recipes.table.ensemble import (
    build_forecaster,
    fit_forecaster,
    members_of,
)
from recipes.table.forecasting import check_known_ahead, forecast
from recipes.training.model_file import load_model
from recipes.training.run_folder import RunFolder, write_json

_BACKTEST = "backtest.json"


def read(settings, say=print):
    """Returns the series of the data set; tells what its columns are taken for.

    Args:
        settings: `FitSettings`.
        say: Called with lines. Default: `print`.
    """
    with told_to_the_user():
        panel, roles = load(settings)
    say(f"{settings.label}: {panel.summary()}")
    say(roles.describe())
    for note in panel.notes:
        say(f"note: {note}")
    return panel


def run_fit(settings, panel=None, say=print):
    """Fits all members to all of each series, or finds that it is done.

    Args:
        settings: `FitSettings`, or settings that have those.
        panel: What `read` gave. Default: it is read.
        say: Called with lines. Default: `print`.

    Returns:
        The folder of the run, the model, and the panel.
    """
    panel = read(settings, say) if panel is None else panel
    settings = FitSettings(
        **{name: getattr(settings, name) for name in FitSettings.model_fields}
    )
    folder = RunFolder(settings.folder)
    identity = settings.identity() | {"verb": "forecast"}
    with told_to_the_user():
        earlier = folder.claim(identity, besides=(_BACKTEST,))
    fitted = earlier is not None and earlier["status"] == "finished"
    if fitted and earlier.get("data_digest") == panel.digest():
        with told_to_the_user():
            model = load_model(
                folder.best_path, structural.StructuralForecaster
            )
        say(f"The run in {folder.path} is fitted.")
        return folder, model, panel
    if fitted:
        _check_same_file(folder, earlier, settings)
        say("The table has changed since it was fitted: it is fitted anew.")
    ends = [len(one.values) for one in panel.series]
    model = build_forecaster(panel, ends, settings)
    # Before the fit: a folder that cannot be written to costs no time, and a
    # fit that is killed can be given again.
    _write_record(folder, settings, identity, panel, earlier, "running")
    say(
        f"{len(members_of(settings))} members, {model.num_rows} rows, "
        f"{model.count_params():,} weights, backend {keras.backend.backend()}"
    )
    evidence = fit_forecaster(model, panel, ends, settings)
    if not np.all(np.isfinite(evidence)):
        bad = int(np.sum(~np.isfinite(evidence)))
        say(f"note: {bad} rows have no finite evidence and no weight.")
    folder.save_best(uncompiled(model))
    _write_record(folder, settings, identity, panel, earlier, "finished")
    say(f"Model: {folder.best_path}")
    return folder, model, panel


def _check_same_file(folder, earlier, settings):
    """Keeps a forecast from being lost to that of a file of the same name."""
    theirs, ours = earlier["settings"].get("data_path"), settings.data_path
    if settings.run or theirs is None or ours is None:
        return
    paths = [
        pathlib.Path(path).expanduser().resolve() for path in (theirs, ours)
    ]
    if paths[0] != paths[1]:
        raise RecipeError(
            f"The folder {str(folder.path)!r} has the forecast of another "
            f"file, {theirs!r}. Nothing was changed: choose a folder with "
            f"run=... Received: data_path={ours!r}."
        )


def _write_record(folder, settings, identity, panel, earlier, status):
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder.write_record(
        {
            "status": status,
            "started": earlier.get("started", now) if earlier else now,
            "settings": settings.as_dict(),
            "identity": identity,
            "data_digest": panel.digest(),
            "series": [one.name for one in panel.series],
        }
    )


def uncompiled(model):
    """Returns a copy without an optimizer, for a file."""
    copy = structural.StructuralForecaster.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def run_forecast(settings, say=print):
    """Fits where it must, and writes quantiles and pictures.

    Args:
        settings: `ForecastSettings`.
        say: Called with lines. Default: `print`.

    Returns:
        The paths that were written.
    """
    panel = read(settings, say)
    horizon = _horizon(settings, panel, say)
    ends = [[len(one.values)] for one in panel.series]
    check_known_ahead(panel, ends, horizon)
    folder, model, panel = run_fit(settings, panel, say)
    values = forecast(model, panel, ends, horizon, settings.batch_size)
    values = [own[0] for own in values]
    path = folder.path / "forecast.csv"
    written = [output.write_quantiles(path, panel, values, settings.quantiles)]
    if has_matplotlib():
        written += output.draw(
            folder.path / "pictures", panel, values, settings.pictures
        )
    elif settings.pictures:
        say('No pictures: run `pip install "keras_fivo[plots]"` for them.')
    for one in written[:8]:
        say(f"  {one}")
    if len(written) > 8:
        say(f"  and {len(written) - 8} more")
    return written


def _horizon(settings, panel, say):
    """Returns what is told, or as far as what is known ahead reaches."""
    for one in panel.series:
        if len(one.values) < (settings.horizon or 0):
            say(
                f"note: {one.name!r} has {len(one.values)} steps, fewer than "
                f"the horizon of {settings.horizon}: expect wide intervals."
            )
    if settings.horizon is not None:
        return settings.horizon
    if not panel.known:
        return panel.frequency.horizon
    first = min(panel.series, key=lambda one: one.steps_ahead())
    if not first.steps_ahead():
        raise RecipeError(
            "Known columns must have rows of the future, whose target is "
            f"empty. Received: known={','.join(panel.known)}, and no such row "
            f"of {first.name!r}."
        )
    return min(first.steps_ahead(), panel.frequency.horizon)


def run_backtest(settings, say=print):
    """Scores forecasts from the last origins, beside those of baselines.

    Args:
        settings: `BacktestSettings`.
        say: Called with lines. Default: `print`.

    Returns:
        The content of the JSON file.
    """
    check_baselines(settings.baselines)
    path = _backtest_path(settings)
    panel = read(settings, say)
    plan = _plan(panel, settings, say)
    say(
        f"{settings.origins} origins x {plan.horizon} steps of "
        f"{len(plan.origins)} series"
    )
    found = backtest.run_plan(plan, settings, say)
    text, means = backtest.describe(plan, found)
    say(f"\n{text}\n")
    content = {
        "settings": settings.as_dict(),
        "backend": keras.backend.backend(),
        "data_digest": panel.digest(),
        "horizon": plan.horizon,
        "series": [one.name for one in plan.panel.series],
        "left_out": plan.left_out,
        "means": means,
        "best_of": backtest.winners(found),
        "methods": found,
    }
    with told_to_the_user():
        write_json(path, content)
    say(f"Written to {path}")
    return content


def _backtest_path(settings):
    """Returns where a back-test is written; refuses what is another file."""
    path = RunFolder(settings.folder).path / _BACKTEST
    if settings.output:
        path = pathlib.Path(settings.output).expanduser()
    try:
        if path.exists():
            read_json(path, "a back-test", {"methods": dict, "means": dict})
    except (FileError, OSError):
        raise RecipeError(
            "`output` must be a new file, or a back-test to write anew. "
            f"Received: {str(path)!r}, which is something else."
        ) from None
    return path


def _plan(panel, settings, say, inner=False):
    plan = backtest.make_plan(panel, settings, inner)
    if plan.left_out:
        say(f"note: too short for the back-test: {', '.join(plan.left_out)}")
    if not plan.origins:
        raise RecipeError(
            "No series is long enough for the back-test. Take fewer origins or "
            f"a shorter horizon. Received: origins={settings.origins}, "
            f"horizon={plan.horizon}, of series of at most "
            f"{max(len(one.values) for one in panel.series)} steps."
        )
    return plan


def run_tune(settings, say=print):
    """Searches settings by the CRPS of a back-test of the training part.

    The test part, all from the first origin of `backtest`, is not seen.

    Args:
        settings: `TuneSettings`.
        say: Called with lines. Default: `print`.

    Returns:
        The trials, the best first: dicts of `crps`, `coverage`, `settings`.
    """
    from recipes.table.search import draw_settings

    panel = read(settings, say)
    plan = _plan(panel, settings, say, inner=True)
    rows, generator = [], np.random.default_rng(settings.seed)
    folder = RunFolder(settings.folder)
    for trial in range(settings.trials + 1):
        chosen = draw_settings(settings, generator) if trial else {}
        try:
            values, _ = backtest.structural_forecasts(
                plan, settings.changed(**chosen)
            )
        except RecipeError as error:
            if not trial:
                raise
            say(f"left out: {error}")
            continue
        scores = backtest.score(plan, values)
        row = {
            key: float(np.mean([one[key] for one in scores]))
            for key in ("crps", "coverage")
        }
        rows.append({**row, "settings": chosen})
        rows.sort(key=lambda one: one["crps"])
        # What a search has found stays, if it is stopped.
        with told_to_the_user():
            write_json(folder.path / "trials.json", rows)
        told = ", ".join(f"{k}={v}" for k, v in chosen.items()) or "as usual"
        say(f"{row['crps']:.4f} {row['coverage']:4.0%}  {told}")
    usual = BacktestSettings(data=settings.data)
    best = settings.changed(
        **rows[0]["settings"],
        run=None,
        output=None,
        baselines=usual.baselines,
    )
    words = shlex.join(["backtest", settings.data, *best.arguments(usual)])
    say(f"\nTest it: {this_program()} {words}")
    return rows
