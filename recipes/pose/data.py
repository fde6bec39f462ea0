"""Data sets of poses by name.

`figures` is made here. `pose` is read from a file of the user's: the pickles
that the code of "Filtering Variational Objectives" (Maddison et al., 2017)
reads, or the same in an `.npz`.
"""

import numpy as np

from recipes.pose import figures
from recipes.pose.files import read_splits
from recipes.pose.poses import Poses

NAMES = (figures.NAME, "pose")


def load(name, data_path=None):
    """Loads a data set of poses.

    Args:
        name: str. One of `NAMES`: `"figures"`, `"pose"`.
        data_path: Path of a `.pkl` or `.npz`, as
            `recipes.pose.files.read_splits` describes them. `"pose"` needs
            one; with one, `"figures"` is read from it instead of being made.
            Default: `None`.

    Returns:
        `Poses`, with `train`, `valid` and `test` lists of float32 arrays
        `(steps, 64)`, and `train_mean`.

    Raises:
        ValueError: The name is unknown, no path is given where one is
            needed, or the file is damaged, hostile, or not of poses.
        FileNotFoundError: `data_path` does not exist.
    """
    if name not in NAMES:
        raise ValueError(
            f"The known data sets are {', '.join(NAMES)}. "
            f"Received: name={name!r}."
        )
    if data_path is not None:
        return Poses(name, **read_splits(data_path), source=str(data_path))
    if name == figures.NAME:
        return Poses(name, **figures.make_splits(), source="synthetic")
    raise ValueError(
        f"The data set {name!r} is not distributed: name its file (.pkl or "
        f".npz) with data_path=FILE, or take {figures.NAME!r}. "
        f"Received: data_path={data_path!r}."
    )


def independent_baseline(poses, split="test"):
    """Tells how well the moments of each coordinate predict a split.

    Coordinates are independent Normal variables with the mean and the
    standard deviation of the train split (1e-6 at least).

    Args:
        poses: `Poses`.
        split: str. Default: `"test"`.

    Returns:
        float. Nats per step: the sum over all steps by their number.
    """
    mean, deviation = poses.moments
    deviation = np.maximum(deviation, 1e-6)
    steps = np.concatenate(poses.split(split)).astype("float64")
    standardized = (steps - mean) / deviation
    by_coordinate = (
        -0.5 * np.square(standardized).mean(axis=0)
        - np.log(deviation)
        - 0.5 * np.log(2 * np.pi)
    )
    return float(by_coordinate.sum())
