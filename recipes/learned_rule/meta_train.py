"""Meta-training: fits a rule on letters, and goes on after a kill.

python -m recipes.learned_rule.meta_train RUN --minutes 60
"""

import argparse
import json
import os
import pathlib
import time

import keras
import numpy as np

import keras_fivo as kf
from recipes.learned_rule import glyphs, tasks

RULE = dict(
    units=(16,),
    top_units=(16,),
    delta_dim=8,
    embedding_dim=None,
    learning_rate=0.02,
)
GROUPS = ((64, (96,), 2), (64, (64, 64), 1))
PENALTY = 3.0


def load_glyphs(path):
    """Letters of the installed fonts, rendered once and kept in a file."""
    path = pathlib.Path(path)
    if not path.is_file():
        data = glyphs.render()
        keep = glyphs.like_letters(data)
        np.savez(path, **{k: v[keep] for k, v in data.items()})
    with np.load(path) as file:
        return {k: file[k] for k in file.files}


def make_stream(data, groups, seed, num_updates, start=0):
    """Batches of letters, and of clusters in every seventh life."""
    train, _ = tasks.split(data)
    letters = tasks.Glyphs({k: v[train] for k, v in data.items()})
    return tasks.TaskStream(
        groups,
        [(letters, 0.85), (tasks.Clusters(), 0.15)],
        num_updates,
        unrolls=(8,),
        horizons=(1, 6),
        batch_size=32,
        seed=seed,
        start=start,
    )


def new_model(seed):
    keras.utils.set_random_seed(seed)
    rule = kf.LocalUpdateRule(**RULE)
    groups = [kf.TaskGroup(*group) for group in GROUPS]
    return kf.MetaTraining(rule, groups, penalty=PENALTY, seed=seed)


def warm_up(data, seed, num_updates=160):
    """Trains what merges the terms, by large steps, and nothing else.

    Merging weights must grow a hundredfold before a change of weights is more
    than a whisper; steps that suit the other weights take hours for that.
    """
    model = new_model(seed)
    merge = model.rule.kernel_change
    free = merge.coefficients, merge.constant, model.rule.to_bias.bias
    frozen = [v for v in model.rule.weights if not any(v is f for f in free)]
    for variable in frozen:
        variable.trainable = False
    schedule = keras.optimizers.schedules.CosineDecay(
        0.5, num_updates, alpha=0.1
    )
    model.compile(keras.optimizers.Adam(schedule))
    stream = make_stream(data, model.groups, seed + 1000, num_updates)
    model.fit(stream, verbose=2)
    for variable in frozen:
        variable.trainable = True
    return model


def train(run, minutes, seed=0, learning_rate=4e-3, num_updates=50):
    """Trains until a number of minutes of processor time has gone.

    Args:
        run: Folder of the model, the log and the letters. What it holds is
            gone on with.
        minutes: float. Of all calls together, the warm-up aside.
        seed: int.
        learning_rate: float. Of Adam, after the warm-up.
        num_updates: int. From one line of the log to the next.
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
        model = warm_up(data, seed)
        adam = keras.optimizers.Adam(learning_rate, global_clipnorm=0.3)
        model.compile(adam)
        model.optimizer.build(model.trainable_variables)
        _write(model, file)
    start = int(model.optimizer.iterations)
    stream = make_stream(data, model.groups, seed, num_updates, start)
    begin = time.process_time()
    while used < minutes * 60:
        logs = model.fit(stream, verbose=0).history
        used, begin = used + time.process_time() - begin, time.process_time()
        row = {
            "updates": int(model.optimizer.iterations),
            "cpu_seconds": round(used, 1),
            **{k: round(float(v[-1]), 4) for k, v in logs.items()},
        }
        with log.open("a") as out:
            out.write(json.dumps(row) + "\n")
        _write(model, file)


def _write(model, file):
    """Writes the model beside the file, and then in its place."""
    beside = file.with_name("beside.keras")
    model.save(beside)
    os.replace(beside, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of the model and of its log")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    options = vars(parser.parse_args())
    train(**options)


if __name__ == "__main__":
    main()
