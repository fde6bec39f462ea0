"""Transfer: a rule on base models and inputs that meta-training never had.

Depths, widths, an order of the inputs and another activation, each beside the
same base model at random initialisation, 5-way with 10 labels. The number of
updates and the ridge penalties are chosen, for each, on letters and fonts that
meta-training has not seen; then both meet the same trials of the digits.
"""

import itertools
from functools import partial
from typing import NamedTuple

import numpy as np

import keras_fivo as kf
from recipes.errors import told_to_the_user
from recipes.learned_rule import evaluate, methods
from recipes.learned_rule.rows import Rows
from recipes.learned_rule.sources import image_sets, load_rule

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
        "random": evaluate.interval(before),
        "rule": evaluate.interval(after),
        "gain": evaluate.interval(after - before),
    }


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


def run_transfer(settings):
    """Prints the table of each set of images.

    Args:
        settings: `ScoreSettings`.
    """
    with told_to_the_user():
        rule, sets = load_rule(settings), image_sets(settings)
        kept, seconds = Rows(settings, rule), 0.0
    for name, choice, held_out in sets:
        print(f"{name}\n\n{HEAD}")
        for case in all_cases():
            measure = partial(
                compare,
                rule,
                choice,
                held_out,
                case,
                range(settings.seeds),
                settings.trials,
            )
            row = kept.get({"data": name, "case": str(case)}, measure)
            print(line(row), flush=True)
            seconds += row["cpu_seconds"]
        print()
    print(f"{seconds:.0f} seconds of processor time")
