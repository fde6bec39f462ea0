"""Tasks of meta-training: what base models learn, and are probed by."""

import keras
import numpy as np

from recipes.learned_rule.glyphs import HELD_OUT_LETTERS, LETTERS

WAYS = 8
SHOTS = 8
TARGETS = WAYS + 3
NOISE = 0.1


def split(data):
    """Returns rows for meta-training, and those of other letters for choices.

    Args:
        data: As from `glyphs.render`.
    """
    letters = [LETTERS.index(x) for x in HELD_OUT_LETTERS]
    held_out = np.isin(data["letter"], letters)
    train = ~held_out & ~data["held_out_font"]
    choice = held_out & data["held_out_font"]
    return train, choice


class Glyphs:
    """Tasks of telling letters apart, whatever font they come from.

    Args:
        data: As from `glyphs.render`, rows for meta-training only.
    """

    def __init__(self, data):
        self.data = data
        letters = np.unique(data["letter"])
        self.rows = [np.flatnonzero(data["letter"] == k) for k in letters]

    def task(self, side, rng):
        """Makes a function of `rng` and labels: it gives inputs, targets."""
        chosen = rng.choice(len(self.rows), WAYS, replace=False)
        order = rng.permutation(side * side)
        noise = NOISE * rng.uniform()
        images = self.data[f"images_{side}"]

        def draw(rng, labels):
            rows = np.array([rng.choice(self.rows[chosen[k]]) for k in labels])
            inputs = images[rows].reshape(len(rows), -1)[:, order] / 255.0
            inputs = inputs + noise * rng.normal(size=inputs.shape)
            targets = np.eye(WAYS)[labels]
            extra = 0.3 * self.data["coefficients"][rows, :3]
            return inputs, np.concatenate([targets, extra], -1)

        return draw


class Clusters:
    """Tasks of telling apart clusters on curved surfaces."""

    def task(self, side, rng):
        dim, hidden = side * side, 16
        latent = int(rng.integers(4, 12))
        centres = 1.5 * rng.normal(size=(WAYS, latent))
        lift = rng.normal(size=(latent, hidden)) / np.sqrt(latent)
        out = rng.normal(size=(hidden, dim)) / np.sqrt(hidden)
        noise = rng.uniform(0.05, 0.3)

        def draw(rng, labels):
            z = centres[labels] + rng.normal(size=(len(labels), latent))
            inputs = np.tanh(1.5 * z @ lift) @ out
            inputs = 0.5 + 0.3 * inputs
            inputs = inputs + noise * rng.normal(size=inputs.shape)
            targets = np.eye(WAYS)[labels]
            extra = np.zeros((len(labels), TARGETS - WAYS))
            return inputs, np.concatenate([targets, extra], -1)

        return draw


class TaskStream(keras.utils.PyDataset):
    """Batches of `MetaTraining`; batch i is a function of the seed and i.

    A base model lives for several of them, which must come in their order:
    `fit` needs `shuffle=False`.

    Args:
        groups: List of `TaskGroup`; inputs are squares.
        kinds: List of pairs: what makes tasks, and how often.
        num_updates: Number of batches of an epoch.
        unrolls: Numbers of updates of the base model in a batch, one of
            which is drawn for each.
        horizons: Least and most batches that a base model lives.
        batch_size: Number of unlabelled examples in an update.
        seed: Seed of tasks and of what is drawn of them.
        start: Number of batches that were seen before. An attribute of that
            name may be set between epochs.
    """

    def __init__(
        self,
        groups,
        kinds,
        num_updates,
        unrolls=(8,),
        horizons=(1, 8),
        batch_size=32,
        seed=0,
        start=0,
    ):
        super().__init__()
        self.groups, self.kinds = groups, kinds
        self.num_updates, self.unrolls = num_updates, unrolls
        self.horizons, self.batch_size = horizons, batch_size
        self.seed, self.start = seed, start
        self.lives = {}

    def __len__(self):
        return self.num_updates

    def __getitem__(self, index):
        position = self.start + index
        rng = np.random.default_rng([self.seed, 1, position])
        unroll = int(rng.choice(self.unrolls))
        groups = []
        for number, group in enumerate(self.groups):
            tasks = [
                self._one((number, slot), group, position, unroll)
                for slot in range(group.num_tasks)
            ]
            batch = {k: np.stack([t[k] for t in tasks]) for k in tasks[0]}
            batch["inputs"] = np.swapaxes(batch["inputs"], 0, 1)
            groups.append(batch)
        return (tuple(groups),)

    def _life(self, slot, position):
        """Returns number and first batch of the base model that lives then."""
        life, first = self.lives.get(slot, (0, 0))
        if position < first:
            life, first = 0, 0
        while True:
            rng = np.random.default_rng([self.seed, 2, *slot, life])
            length = rng.integers(self.horizons[0], self.horizons[1] + 1)
            if position < first + length:
                self.lives[slot] = life, first
                return life, first, rng
            life, first = life + 1, first + length

    def _one(self, slot, group, position, unroll):
        life, first, rng = self._life(slot, position)
        side = round(group.input_dim**0.5)
        shares = np.array([share for _, share in self.kinds])
        kind = self.kinds[rng.choice(len(shares), p=shares / shares.sum())][0]
        draw = kind.task(side, rng)
        rng = np.random.default_rng([self.seed, 3, *slot, position])
        labels = rng.integers(0, WAYS, unroll * self.batch_size)
        inputs, _ = draw(rng, labels)
        labels = np.repeat(np.arange(WAYS), SHOTS)
        support, support_targets = draw(rng, labels)
        query, query_targets = draw(rng, labels)
        shape = (unroll, self.batch_size, group.input_dim)
        drawn = {}
        if group.draws:
            rng = np.random.default_rng([self.seed, 4, *slot, life])
            drawn["shape"] = np.int32(rng.integers(len(group.shapes)))
        return drawn | {
            "inputs": inputs.reshape(shape).astype("float32"),
            "support": support.astype("float32"),
            "query": query.astype("float32"),
            "support_targets": support_targets.astype("float32"),
            "query_targets": query_targets.astype("float32"),
            "restart": np.array(position == first),
        }
