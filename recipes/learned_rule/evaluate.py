"""The table: accuracy with a few labels, on digits that no choice has seen.

Each method's ridge penalty is chosen on letters and fonts that meta-training
has not seen; then all methods meet the same trials of the digits.
"""

from functools import partial

import keras
import numpy as np

import keras_fivo as kf
from recipes.errors import told_to_the_user
from recipes.learned_rule.methods import DETERMINISTIC, METHODS
from recipes.learned_rule.rows import Rows
from recipes.learned_rule.sources import image_sets, load_rule

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# Classes and labelled examples of each.
CELLS = tuple((ways, shots) for ways in (5, 10) for shots in (1, 5, 10))


def accuracies(features, labels, ways, shots, trials, penalty, seed=1):
    """Scores a ridge probe in each trial; all are fitted at once."""
    drawn = kf.few_shot_trials(labels, ways, shots, trials, seed)
    support, query = map(np.stack, zip(*drawn, strict=True))
    targets = np.repeat(np.eye(ways, dtype="float32"), shots, axis=0)
    fitted = kf.RidgeProbe(penalty).fit(
        features[support.reshape(trials, -1)],
        np.broadcast_to(targets, (trials, *targets.shape)),
    )
    predicted = fitted(features[query.reshape(trials, -1)])
    found = keras.ops.convert_to_numpy(predicted).argmax(-1)
    right = found == np.repeat(np.arange(ways), query.shape[-1])
    return right.mean(-1)


def best_penalty(features, labels, ways, shots, trials=100):
    """Returns the ridge penalty that does best, and its mean accuracy."""
    scores = [
        accuracies(features, labels, ways, shots, trials, p).mean()
        for p in PENALTIES
    ]
    return PENALTIES[int(np.argmax(scores))], float(max(scores))


def interval(values):
    """Returns the mean, and half the width of its 95% interval."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return round(float(values.mean()), 4), round(1.96 * float(error), 4)


def score(name, choice, held_out, given, seeds, trials):
    """Scores a method.

    Args:
        name: Name of the method.
        choice: Unlabelled images, others and classes, for choices.
        held_out: The same, to be scored.
        given: dict with `rule`, `units` and `updates`.
        seeds: Seeds of base models; accuracy is the mean over them.
        trials: Number of trials of each cell.

    Returns:
        dict of `cells`: for each of `CELLS` a dict of ways, shots, the penalty,
        and the accuracy with half the width of its 95% interval over trials.
    """
    method, cells = METHODS[name], []
    seeds = seeds[:1] if name in DETERMINISTIC else seeds
    chosen = method(*choice[:2], seed=seeds[0], **given)
    found = [method(*held_out[:2], seed=s, **given) for s in seeds]
    for ways, shots in CELLS:
        penalty, _ = best_penalty(chosen, choice[2], ways, shots)
        values = [
            accuracies(f, held_out[2], ways, shots, trials, penalty)
            for f in found
        ]
        cell = {"ways": ways, "shots": shots, "penalty": penalty}
        cells.append(cell | {"accuracy": interval(np.mean(values, axis=0))})
    return {"cells": cells}


def table(rows):
    """Returns a table in Markdown, a row for each method."""
    heads = [f"{ways}-way {shots}" for ways, shots in CELLS]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        found = [cell["accuracy"] for cell in row["cells"]]
        cells = [f"{mean:.3f} ± {half:.3f}" for mean, half in found]
        lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run_evaluate(settings):
    """Prints the table of each set of images.

    Args:
        settings: `EvaluateSettings`.
    """
    with told_to_the_user():
        rule, sets = (
            load_rule(settings),
            image_sets(settings, settings.held_out),
        )
        kept = Rows(settings, rule)
    seeds = range(settings.seeds)
    given = {"units": settings.units, "updates": settings.updates}
    for name, *images in sets:
        rows = []
        for method in METHODS:
            measure = partial(
                score,
                method,
                *images,
                given | {"rule": rule},
                seeds,
                settings.trials,
            )
            row = {"data": name, "method": method, **given}
            rows.append(kept.get(row, measure))
        print(f"{name}\n\n{table(rows)}\n", flush=True)
