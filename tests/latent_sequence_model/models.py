"""Small models for the tests of `LatentSequenceModel`."""

import keras
import numpy as np

import keras_fivo as kf
from tests.reference.examples import data, vrnn

METRICS = {
    "loss",
    "bound_per_step",
    "bound_per_sequence",
    "kl_per_step",
    "ess",
    "resampling_rate",
    "dead_sequences",
    "skipped_updates",
}


def model(controls=False, cell=None, optimizer="sgd", rate=0.1, **options):
    """A compiled model of a small VRNN with random weights.

    Args:
        controls: Whether it takes exogenous inputs.
        cell: Arguments of `VRNNCell`, or a built cell.
        optimizer: Name of a Keras optimizer.
        rate: Learning rate.
        options: Arguments of the model; those in `COMPILE`, of `compile`.
    """
    if not isinstance(cell, kf.LatentCell):
        # Without hidden layers a step is traced in half the time.
        cell = vrnn(controls=controls, **{"hidden_units": [], **(cell or {})})
    compile_options = {
        name: options.pop(name)
        for name in ("jit_compile", "steps_per_execution")
        if name in options
    }
    if keras.backend.backend() == "tensorflow":
        # XLA compiles a step for longer than all else takes; tests of what it
        # compiles ask for it.
        compile_options.setdefault("jit_compile", False)
    made = kf.LatentSequenceModel(
        cell, **{"bound": kf.FIVO(2), "seed": 3, **options}
    )
    chosen = keras.optimizers.get(optimizer)
    chosen.learning_rate = rate
    made.compile(chosen, **compile_options)
    return made


def without_latents(**options):
    """A model whose bound is log p(x) exactly, whatever the noise.

    Nothing reads the latents, and they are proposed as they are distributed.
    """
    # Behind a hidden layer of zeros the weights get no gradient either.
    cell = {"proposal": "transition", "hidden_units": [5]}
    made = model(cell=cell, **options)
    for variable in made.cell.latent_encoder.trainable_variables:
        variable.assign(np.zeros(variable.shape, "float32"))
    return made


def weights(made):
    """NumPy copies of the weights, not of seeds or metrics."""
    return [keras.ops.convert_to_numpy(v) for v in made.weights]


def assert_same(found, expected, tolerance=1e-6):
    """Two lists of arrays, or dicts of numbers, agree."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        found = [found[name] for name in expected]
        expected = list(expected.values())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)


def differ(found, expected):
    """Whether any of the arrays differ."""
    return any(
        not np.array_equal(a, b) for a, b in zip(found, expected, strict=True)
    )


def two_batches(controls=False):
    """Six sequences: a dict, and the same as a list of two batches."""
    parts = [data(controls=controls, seed=seed) for seed in (1, 2)]
    whole = {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0]
    }
    return whole, parts


class Batches(keras.utils.PyDataset):
    """A data set that holds a list of batches."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]
