"""Transfer: a rule on base models and inputs that meta-training never had.

python -m recipes.learned_rule.transfer --mnist mnist.npz

Depths, widths, an order of the inputs and another activation, each beside the
same base model at random initialisation, 5-way with 10 labels. The number of
updates and the ridge penalties are chosen, for each, on letters and fonts that
meta-training has not seen; then both meet the same trials of the digits.
With `--out`, the command goes on after a kill: rows that the file holds, of
the same rule, seeds and trials, are not measured again.
"""

import argparse
import hashlib
import itertools
import json
import pathlib
import sys
import time
from functools import partial
from typing import NamedTuple

import numpy as np
from keras import ops

import keras_fivo as kf
from recipes.errors import RecipeError, reading
from recipes.learned_rule import evaluate, methods
from recipes.learned_rule.meta_train import load_glyphs
from recipes.storage import atomic_path

STEPS = (2, 5, 10, 20, 40)
DEPTHS = (2, 4, 6, 8)
WIDTHS = (32, 128, 256, 1024)
WAYS, SHOTS = 5, 10


class Case(NamedTuple):
    """A kind of base model, and the order of its inputs.

    Attributes:
        units: Sizes of the layers, the embedding last.
        permuted: Whether pixels come in an order without sense.
        activation: Activation of every layer.
    """

    units: tuple
    permuted: bool = False
    activation: str = "relu"

    def __str__(self):
        depth, width = len(self.units), f"{self.units[0]:,}"
        layers = width if depth == 1 else f"{depth} layers of {width}"
        changes = ["permuted"] * self.permuted
        changes += [self.activation] * (self.activation != "relu")
        return ", ".join([layers, *changes])


def all_cases():
    """Lists what the shipped rule was chosen for, its changes, and the grid."""
    changes = {}, {"permuted": True}, {"activation": "tanh"}
    shapes = [(256,), (128,) * 4]
    cases = [Case(units, **c) for units in shapes for c in changes]
    grid = itertools.product(DEPTHS, WIDTHS)
    return [*dict.fromkeys(cases + [Case((w,) * d) for d, w in grid])]


def course(rule, unlabelled, images, case, steps, seed):
    """Returns features of images after 0 and other numbers of updates.

    Args:
        rule: A `LocalUpdateRule`.
        unlabelled: Images that the base model learns from.
        images: Images, of which features are taken.
        case: A `Case`.
        steps: Numbers of updates, ascending.
        seed: Seed of the base model, of batches and of the inputs' order.

    Returns:
        dict of `(images, units)` by the number of updates.
    """
    unlabelled, images = methods.flat(unlabelled), methods.flat(images)
    if case.permuted:
        order = np.random.default_rng(seed).permutation(images.shape[1])
        unlabelled, images = unlabelled[:, order], images[:, order]
    model = kf.LearnedRuleModel(
        rule, case.units, activation=case.activation, seed=seed
    )
    found = {0: model.predict(images)}
    for before, after in itertools.pairwise((0, *steps)):
        batches = methods.Batches(unlabelled, after, seed, start=before)
        model.fit(batches, shuffle=False, verbose=0)
        found[after] = model.predict(images)
    return found


def compare(rule, choice, held_out, case, seeds, trials, steps=STEPS):
    """Scores a rule's base models, and those that learned nothing.

    Args:
        rule: A `LocalUpdateRule`.
        choice: Unlabelled images, others and classes, for choices.
        held_out: The same, to be scored.
        case: A `Case`.
        seeds: Seeds of base models; accuracy is the mean over them.
        trials: Number of trials.
        steps: Numbers of updates to choose from.

    Returns:
        dict of the number of updates; `random` and `rule`, accuracies with
        half the width of their 95% intervals over trials; and `gain`, that of
        their difference trial by trial.
    """
    letters = course(rule, *choice[:2], case, steps, seeds[0])
    best = {
        step: evaluate.best_penalty(features, choice[2], WAYS, SHOTS)
        for step, features in letters.items()
    }
    chosen = max(steps, key=lambda step: best[step][1])
    values = {0: [], chosen: []}
    for seed in seeds:
        found = course(rule, *held_out[:2], case, (chosen,), seed)
        for step, features in found.items():
            values[step].append(
                evaluate.accuracies(
                    features, held_out[2], WAYS, SHOTS, trials, best[step][0]
                )
            )
    before, after = (np.mean(v, axis=0) for v in values.values())
    return {
        "case": str(case),
        "updates": chosen,
        "random": _interval(before),
        "rule": _interval(after),
        "gain": _interval(after - before),
    }


def _interval(values):
    """Returns the mean, and half the width of its 95% interval."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return round(float(values.mean()), 4), round(1.96 * float(error), 4)


def line(entry):
    """Returns a row of the table in Markdown."""
    cells = [
        f"{entry[k][0]:.3f} ± {entry[k][1]:.3f}" for k in ("random", "rule")
    ]
    cells.append(f"{entry['gain'][0]:+.3f} ± {entry['gain'][1]:.3f}")
    return f"| {entry['case']} | {entry['updates']} | {' | '.join(cells)} |"


HEAD = (
    "| base model | updates | random initialisation | rule | difference |\n"
    "|---|---|---|---|---|"
)


class Rows:
    """Rows of the table, which a file keeps.

    Args:
        path: Path of a file with a line of JSON for each; None: no file.
    """

    def __init__(self, path):
        self.path, self.rows = path and pathlib.Path(path), []
        if self.path and self.path.is_file():
            with reading(self.path, "a line of JSON for each row"):
                lines = self.path.read_text().splitlines()
                self.rows = [json.loads(line) for line in lines]

    def get(self, settings, measure):
        """Returns the row of given settings, measured unless it is there.

        Args:
            settings: dict of what can be written as JSON.
            measure: Function of no arguments that returns the others of the
                row's entries.
        """
        for row in self.rows:
            if settings.items() <= row.items():
                return row
        begin = time.process_time()
        row = {**settings, **measure()}
        row["cpu_seconds"] = round(time.process_time() - begin, 1)
        self.rows.append(row)
        if self.path:
            with atomic_path(self.path) as beside:
                lines = [json.dumps(row) + "\n" for row in self.rows]
                beside.write_text("".join(lines))
        return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rule",
        nargs="+",
        default=["learned-rule-slim"],
        help="preset, or files of a rule whose weights are averaged",
    )
    parser.add_argument(
        "--letters",
        default="runs/rule/glyphs.npz",
        help="file of letters for choices, made where there is none",
    )
    parser.add_argument("--mnist", help="file of MNIST, an .npz")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="number of draws of each base model",
    )
    parser.add_argument(
        "--trials", type=int, default=200, help="number of trials of each entry"
    )
    parser.add_argument(
        "--out",
        help="file that gets a line of JSON for each entry; those that it "
        "holds are not measured again",
    )
    given = parser.parse_args()
    rule = evaluate.load_rule(*given.rule)
    data = load_glyphs(given.letters)
    table, seconds = Rows(given.out), 0.0
    settings = {"seeds": given.seeds, "trials": given.trials}
    settings["source"] = " ".join(given.rule)
    values = [np.asarray(ops.convert_to_numpy(x)) for x in rule.weights]
    content = b"".join(value.tobytes() for value in values)
    settings["weights"] = hashlib.sha256(content).hexdigest()[:16]
    for name, (side, load) in evaluate.HELD_OUT.items():
        try:
            held_out = load(given.mnist)
        except RecipeError as error:
            print(f"{name}: skipped. {error}", file=sys.stderr)
            continue
        choice = evaluate.choice_set(data, side)
        print(f"{name}\n\n{HEAD}")
        for case in all_cases():
            row = table.get(
                {"data": name, "case": str(case), **settings},
                partial(
                    compare,
                    rule,
                    choice,
                    held_out,
                    case,
                    range(given.seeds),
                    given.trials,
                ),
            )
            print(line(row), flush=True)
            seconds += row["cpu_seconds"]
        print()
    print(f"{seconds:.0f} seconds of processor time")


if __name__ == "__main__":
    main()
