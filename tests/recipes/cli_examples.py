"""Small data and short trainings for the tests of the command line."""

import keras
import numpy as np

from recipes.cli import main
from recipes.pianoroll.files import write_splits

# XLA compiles a step for longer than all these trainings take.
XLA = "false" if keras.backend.backend() == "tensorflow" else "auto"
SMALL = [
    "latent_dim=3",
    "units=4",
    "num_particles=2",
    "evaluation_particles=2",
    "num_buckets=1",
    "learning_rate=0.01",
    "tensorboard=false",
    f"jit_compile={XLA}",
]


def write_songs(path, seed=0, lengths=(5, 9, 7, 12, 6, 3), test=8):
    """Writes random songs of a few notes to an `.npz` file."""
    generator = np.random.default_rng(seed)

    def song(length):
        roll = np.zeros((length, 88), "uint8")
        roll[:, 30:50] = generator.random((length, 20)) < 0.2
        return roll

    splits = {
        "train": [song(length) for length in lengths],
        "valid": [song(8), song(6)],
        "test": [song(test), song(test + 3), song(test - 4)],
    }
    write_splits(path, splits)
    return path


def fit(data_path, run, *extra):
    """Runs `fit` on small data; returns the exit code."""
    return main(
        ["fit", "jsb", f"data_path={data_path}", f"run={run}", *SMALL, *extra]
    )
