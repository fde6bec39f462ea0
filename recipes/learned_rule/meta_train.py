"""Meta-training: fits a rule on letters, and goes on after a kill."""

import json
import os
import pathlib
import time

import keras
import numpy as np

import keras_fivo as kf
from recipes.learned_rule import glyphs, tasks
from recipes.packages import require
from recipes.storage import atomic_path, read_json

RULE = dict(
    units=(16,),
    top_units=(16,),
    delta_dim=8,
    embedding_dim=None,
    learning_rate=0.05,
)
# Weights that merge the terms of a change, before meta-training. A random
# search of 110 tries found them on letters for meta-training, from Hebbian
# changes and decorrelation alone, as `search` does: from the published .1,
# where a change is no more than a whisper, gradients take hours to get there.
MERGE = {
    "0_order": -1.0,
    "1_order": -0.6,
    "decorr_x": 7.8,
    "hebb": 27.0,
    "large_decay": 3.0,
    "lin_lower_symm": -0.9,
    "lin_upper_psd": 3.1,
    "lin_upper_symm": -2.4,
    "rbf": 1.0,
    "sqr_lower_symm": 2.8,
    "sqr_upper_symm": 2.9,
    "w_base": 4.6,
}
SHAPES = ((64, (96,), 1), (64, (64, 64), 1))
PENALTY = 10.0
UNROLLS = (6,)
HORIZONS = (1, 3)


def load_glyphs(path):
    """Renders letters of the installed fonts once, and keeps them in a file."""
    path = pathlib.Path(path)
    if not path.is_file():
        require("Rendering letters", "plots", "matplotlib", "PIL")
        data = glyphs.render()
        keep = glyphs.like_letters(data)
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, **{k: v[keep] for k, v in data.items()})
    with np.load(path) as file:
        return {k: file[k] for k in file.files}


def make_stream(
    data, groups, seed, num_updates, horizons=HORIZONS, unrolls=UNROLLS
):
    """Returns batches of letters, and of clusters in every seventh life.

    Args:
        data: As from `load_glyphs`.
        groups: Groups of base models.
        seed: Seed of the tasks.
        num_updates: Number of batches of an epoch.
        horizons: Fewest and most unrolls of the life of a base model.
        unrolls: Numbers of updates of base models in an unroll, one of which
            is drawn for each.
    """
    train, _ = tasks.split(data)
    letters = tasks.Glyphs({k: v[train] for k, v in data.items()})
    return tasks.TaskStream(
        groups,
        [(letters, 0.85), (tasks.Clusters(), 0.15)],
        num_updates,
        unrolls=tuple(unrolls),
        horizons=tuple(horizons),
        batch_size=32,
        seed=seed,
    )


def new_rule(merge=None):
    """Returns the slim rule, before meta-training.

    Args:
        merge: Weights by term, a file of them, or None: `MERGE`.
    """
    rule = kf.LocalUpdateRule(**RULE)
    names = rule.kernel_change.term_names
    if isinstance(merge, str | pathlib.Path):
        kinds = dict.fromkeys(names, (int, float))
        merge = read_json(merge, "a file of `search`", kinds)
    merge = merge or MERGE
    rule.kernel_change.coefficients.assign([merge[name] for name in names])
    return rule


def new_model(
    seed,
    first=None,
    shapes=SHAPES,
    penalty=PENALTY,
    merge=None,
    estimator="backpropagation",
):
    """Returns a meta-training that begins.

    Args:
        seed: Seed of the rule and of base models.
        first: `.keras` file of another meta-training, whose rule this one
            begins with; None: `new_rule`.
        shapes: Inputs, units (or several, of which each life draws) and number
            of base models, of each group.
        penalty: Penalty of the ridge regression in the meta-objective.
        merge: As for `new_rule`.
        estimator: Estimator of the gradient, as for `kf.MetaTraining`.
    """
    keras.utils.set_random_seed(seed)
    rule = keras.saving.load_model(first).rule if first else new_rule(merge)
    groups = [kf.TaskGroup(*shape) for shape in shapes]
    return kf.MetaTraining(
        rule, groups, penalty=penalty, estimator=estimator, seed=seed
    )


def train(
    run,
    minutes,
    seed=0,
    learning_rate=2e-3,
    num_updates=50,
    updates=None,
    horizons=HORIZONS,
    unrolls=UNROLLS,
    say=lambda row: None,
    **begin,
):
    """Trains until a number of minutes of processor time has gone.

    Args:
        run: Folder of the model, the log and the letters. What it holds is
            gone on with.
        minutes: Minutes of processor time, of all calls together.
        seed: Seed of the rule, of base models and of tasks.
        learning_rate: Learning rate of Adam.
        num_updates: Number of updates from one line of the log to the next.
        updates: Number of updates, of all calls together, after which
            training stops if it has not before; None: as many as there is
            time for.
        horizons: As for `make_stream`.
        unrolls: As for `make_stream`.
        say: Called with each line of the log, a dict.
        **begin: As for `new_model`, where the training begins.

    Returns:
        The number of updates of all calls together.
    """
    run = pathlib.Path(run)
    run.mkdir(parents=True, exist_ok=True)
    data = load_glyphs(run / "glyphs.npz")
    file, log = run / "meta.keras", run / "log.jsonl"
    used = 0.0
    if file.is_file():
        model = keras.saving.load_model(file)
        lines = log.read_text().splitlines() if log.is_file() else []
        used = json.loads(lines[-1])["cpu_seconds"] if lines else 0.0
    else:
        model = new_model(seed, **begin)
        adam = keras.optimizers.Adam(learning_rate, global_clipnorm=0.3)
        model.compile(adam)
        model.optimizer.build(model.trainable_variables)
        _write(model, file)
    start = int(model.optimizer.iterations)
    stream = make_stream(
        data, model.groups, seed, num_updates, horizons, unrolls
    )
    begin = time.process_time()
    while used < minutes * 60 and (updates is None or start < updates):
        stream.start = start
        logs = model.fit(stream, shuffle=False, verbose=0).history
        used, begin = used + time.process_time() - begin, time.process_time()
        start = int(model.optimizer.iterations)
        row = {
            "updates": start,
            "cpu_seconds": round(used, 1),
            **{k: round(float(v[-1]), 4) for k, v in logs.items()},
        }
        with log.open("a") as out:
            out.write(json.dumps(row) + "\n")
        _write(model, file)
        np.savez(
            run / f"rule_{row['updates']:06d}.npz", *model.rule.get_weights()
        )
        say(row)
    return start


def _write(model, file):
    """Writes the model beside the file, and then in its place."""
    beside = file.with_name("beside.keras")
    model.save(beside)
    os.replace(beside, file)
