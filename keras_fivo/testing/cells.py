"""What every cell, and every proposal, must hold to."""

from typing import Any

import keras
import numpy as np

from keras_fivo.cells import LatentCell, VRNNCell
from keras_fivo.proposals import get_proposal
from keras_fivo.testing.trial import Trial


def check_cell(
    cell: LatentCell,
    observations: Any,
    controls: Any = None,
    *,
    unused: tuple[str, ...] = (),
    tolerance: float = 1e-4,
    seed: int = 0,
) -> None:
    """Holds a cell to what the library relies on.

    Checked are: that its configuration rebuilds it, and a `.keras` file gives
    it back; that what it knows of the past of a step does not move with the
    observation of that step or later ones, and that a proposal which says so
    does not see the future; that sequences of a batch know nothing of each
    other; that padding, NaN too, changes nothing; that a
    sequence of which nothing is observed stays finite; that the filter equals
    a loop over `cell(inputs, states)`, and two filters in turn one filter; and
    that every trainable weight learns.

    Args:
        cell: A cell, built or not; it is left as it is.
        observations: Data to try it on, `(batch, time, features)`, two
            sequences of four steps at least, nothing missing.
        controls: Exogenous inputs, `(batch, time, controls)`, if it has any.
        unused: Parts of paths of weights which get no gradient, as those of a
            network that the emission does not read.
        tolerance: Largest difference of numbers that should be equal,
            absolute or relative.
        seed: Seed of the noise.

    Raises:
        AssertionError: If one of them does not hold; it says which.
        ValueError: If the data are too few.
    """
    trial = Trial(cell, observations, controls, tolerance, seed)
    trial.check_rebuilding()
    trial.check_past()
    trial.check_sight()
    trial.check_rows()
    trial.check_padding()
    trial.check_nothing_observed()
    trial.check_loop()
    trial.check_learning(unused)


def check_proposal(
    proposal: Any,
    cell: LatentCell | None = None,
    observations: Any = None,
    *,
    unused: tuple[str, ...] = (),
    tolerance: float = 1e-4,
    seed: int = 0,
) -> None:
    """Holds a proposal to what the library relies on, inside a cell.

    Args:
        proposal: A proposal or its name.
        cell: A cell to use it in, not built, whose own proposal it replaces;
            by default a small VRNN of two binary features.
        observations: Data for that cell, as in `check_cell`.
        unused: As in `check_cell`.
        tolerance: As in `check_cell`.
        seed: Seed of the noise.

    Raises:
        AssertionError: If a property does not hold; it says which.
    """
    if cell is None:
        cell = VRNNCell(2, units=4)
        generator = np.random.default_rng(seed)
        observations = generator.integers(0, 2, (2, 5, 2))
    serialize = keras.saving.serialize_keras_object
    config = cell.get_config()
    config["proposal"] = serialize(get_proposal(proposal))
    check_cell(
        type(cell).from_config(config),
        observations,
        unused=unused,
        tolerance=tolerance,
        seed=seed,
    )
