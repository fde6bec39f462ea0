"""Speed: processor time of an update of a rule, and of its gradient.

At the paper's size: base models 196-128-128-128-128-32, batches of 128, the
published rule. Each part runs in a process of its own, on one thread if the
environment says so; its processor time counts, not the time that passes.
"""

import json
import resource
import subprocess
import sys
import time

import keras
import numpy as np

import keras_fivo as kf
from recipes.benchmark.workload import Batches
from recipes.learned_rule import meta_train

RULES = {"published": {}, "slim": meta_train.RULE}
ROUNDS = 5


def update(rule, units, inputs, batch_size, _):
    """Returns a model that a rule trains, a batch, and its updates."""
    model = kf.LearnedRuleModel(rule, units, seed=0)
    model.build((None, inputs))
    rng = np.random.default_rng(0)
    return model, rng.uniform(size=(batch_size, inputs)).astype("float32"), 1


def unroll(rule, units, inputs, batch_size, length):
    """Returns a meta-training of one base model, a batch, its inner updates."""
    group = kf.TaskGroup(inputs, units, 1)
    model = kf.MetaTraining(rule, [group], seed=0)
    model.compile(keras.optimizers.Adam(0.0))
    rng = np.random.default_rng(0)
    probed = rng.uniform(size=(2, 1, 100, inputs)).astype("float32")
    targets = np.tile(np.eye(10, dtype="float32"), (1, 10, 1))
    images = rng.uniform(size=(length, 1, batch_size, inputs))
    batch = {
        "inputs": images.astype("float32"),
        "support": probed[0],
        "query": probed[1],
        "support_targets": targets,
        "query_targets": targets,
        "restart": np.array([False]),
    }
    return model, (batch,), length


PARTS = {"update": update, "unroll": unroll}


def measure(make, rule, units, inputs, batch_size, length, rounds=ROUNDS):
    """Times `fit`, after an epoch that compiles.

    Args:
        make: One of `PARTS`.
        rule: A `LocalUpdateRule`.
        units: Sizes of the base model's layers.
        inputs: Number of its inputs.
        batch_size: Number of examples of an update.
        length: Number of updates of an unroll.
        rounds: Number of times that are taken, each of 4 batches.

    Returns:
        dict of `milliseconds` by update of the base model, the median and the
        least; and the peak of the process's memory in `megabytes`, at the end
        and `before` anything was compiled.
    """
    model, batch, updates = make(rule, units, inputs, batch_size, length)
    before = _peak()
    data = Batches((batch,), 4)
    model.fit(data, verbose=0)
    found = []
    for _ in range(rounds):
        begin = time.process_time()
        model.fit(data, verbose=0)
        found.append((time.process_time() - begin) / (4 * updates))
    milliseconds = [1e3 * float(f(found)) for f in (np.median, np.min)]
    return {
        "milliseconds": [round(x, 1) for x in milliseconds],
        "megabytes": round(_peak()),
        "before": round(before),
    }


def _peak():
    """Returns the most memory that this process has had, in megabytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def run_speed(settings):
    """Prints a table, or the JSON of the part that is named.

    Args:
        settings: `SpeedSettings`.
    """
    if settings.part:
        rule = kf.LocalUpdateRule(**RULES[settings.rule])
        sizes = settings.units, settings.inputs, settings.batch_size
        make = PARTS[settings.part]
        print(json.dumps(measure(make, rule, *sizes, settings.length)))
        return
    print("| | ms, median | least | peak memory, MB | before compiling |")
    print("|---|---|---|---|---|")
    command = [sys.executable, "-m", "recipes.learned_rule", "speed"]
    command += settings.arguments(type(settings)())
    for part, name in (("update", "an update"), ("unroll", "its gradient")):
        lines = subprocess.run(
            [*command, f"part={part}"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.splitlines()
        found = json.loads(lines[-1])
        cells = *found["milliseconds"], found["megabytes"], found["before"]
        backend = keras.backend.backend()
        print(f"| {name}, {backend} | {' | '.join(map(str, cells))} |")
