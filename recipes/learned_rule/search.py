"""Random search of what merges the terms of a change, before meta-training.

Base models learn from letters for meta-training by a rule whose other weights
are as drawn. A try changes some of the twelve weights that lower the
meta-objective most so far, and stays if it lowers it further. The best are
written to merge.json, which `fit learned_rule merge=FILE` reads.
"""

import pathlib
import time

import numpy as np

from recipes.benchmark.workload import Batches
from recipes.learned_rule import tasks
from recipes.learned_rule.meta_train import (
    MERGE,
    SHAPES,
    load_glyphs,
    new_model,
)
from recipes.storage import write_json

# Hebbian changes and decorrelation, and a pull back to the start.
FIRST = {"hebb": 25.0, "decorr_x": 8.0, "w_base": 7.0}
OTHERS = 1.0


def fixed_batch(data, groups, num_updates, seed):
    """Makes a batch from which base models begin alike in every try."""
    train, _ = tasks.split(data)
    letters = tasks.Glyphs({k: v[train] for k, v in data.items()})
    stream = tasks.TaskStream(
        groups, [(letters, 1.0)], 1, unrolls=(num_updates,), seed=seed
    )
    (batch,) = stream[0]
    for part in batch:
        part["restart"] = np.zeros_like(part["restart"])
    return (batch,)


def changed(merge, rng):
    """Weights near others: some scaled, some shifted.

    Args:
        merge: `(terms,)`.
        rng: NumPy's generator.
    """
    size = len(merge)
    scale = 0.3 * rng.normal(size=size) * (rng.uniform(size=size) < 0.4)
    shift = 2.0 * rng.normal(size=size) * (rng.uniform(size=size) < 0.3)
    return merge * np.exp(scale) + shift


class Objective:
    """The meta-objective of a rule as drawn, by the weights of its terms.

    Args:
        data: As from `load_glyphs`.
        seed: Seed of the rule, of base models and of their batches.
        num_tasks: Number of base models of each shape.
        num_updates: Number of their updates.
    """

    def __init__(self, data, seed, num_tasks=3, num_updates=12):
        shapes = [(*shape[:2], num_tasks) for shape in SHAPES]
        self.model = new_model(seed, shapes=shapes)
        self.model.compile()
        batch = fixed_batch(data, self.model.groups, num_updates, seed)
        self.batches = Batches(batch, 1)
        self.names = self.model.rule.kernel_change.term_names

    def __call__(self, merge):
        """Returns the mean objective over updates and base models.

        Args:
            merge: `(terms,)`, or dict by term.
        """
        if isinstance(merge, dict):
            merge = [merge[name] for name in self.names]
        self.model.rule.kernel_change.coefficients.assign(merge)
        found = self.model.evaluate(self.batches, verbose=0, return_dict=True)
        return found["loss"]


def search(objective, tries, seed):
    """Yields each try that was the best, from the first on.

    Args:
        objective: Function of weights, with their `names`.
        tries: Number of tries after the first.
        seed: Seed of the tries.

    Yields:
        The number of the try, its objective and its weights by term.
    """
    rng = np.random.default_rng(seed)
    best = np.array([FIRST.get(name, OTHERS) for name in objective.names])
    least = np.inf
    for number in range(tries + 1):
        merge = changed(best, rng) if number else best
        loss = objective(merge)
        if loss < least:
            best, least = merge, loss
            weights = zip(objective.names, merge.tolist(), strict=True)
            yield number, loss, dict(weights)


def run_search(run, tries, seed):
    """Searches, and writes the best weights to `merge.json`.

    Args:
        run: Folder of the letters and of what is best.
        tries: Number of tries after the first.
        seed: Seed of the rule, of base models and of the tries.
    """
    run = pathlib.Path(run).expanduser()
    data = load_glyphs(run / "glyphs.npz")
    begin = time.process_time()
    objective = Objective(data, seed)
    print(f"the shipped rule began with {objective(MERGE):.4f}")
    for number, loss, merge in search(objective, tries, seed):
        write_json(run / "merge.json", merge)
        rounded = {name: round(x, 1) for name, x in merge.items()}
        print(f"try {number}: {loss:.4f} {rounded}", flush=True)
    print(f"{time.process_time() - begin:.0f} seconds of processor time")
