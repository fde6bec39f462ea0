"""Small cells with random weights, and data with every irregularity."""

import keras
import numpy as np
from keras import ops

import keras_fivo as kf

BATCH, STEPS, FEATURES, CONTROLS = 3, 6, 3, 2
LENGTHS = np.array([6, 3, 5], "int32")


def numpy(tree):
    """NumPy copies of all tensors."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, tree)


def randomize(layer, seed=0, size=0.4):
    """Gives every trainable weight, biases too, a random value."""
    generator = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        value = size * generator.standard_normal(variable.shape)
        variable.assign(value.astype("float32"))


@keras.saving.register_keras_serializable(package="tests")
class Autoregression(kf.LatentCell):
    """A latent that forgets, seen in noise, with weights of its own."""

    def __init__(self, latent_dim=1, **kwargs):
        super().__init__(latent_dim, **kwargs)

    def build_parts(self, observation_dim, control_dim):
        self.memory = self.add_weight(
            name="memory", shape=(1,), initializer="ones"
        )

    def transition_distribution(self, context):
        return kf.Normal(self.memory * context, ops.ones_like(context))

    def emission_distribution(self, context, latent):
        return kf.Normal(latent, ops.ones_like(latent))

    def get_config(self):
        config = super().get_config()
        del config["emission"]
        return config


def vrnn(controls=True, **options):
    """A built `VRNNCell`; sizes differ so that none can be taken for another.

    Args:
        controls: Whether it takes exogenous inputs.
        options: Arguments of `VRNNCell`.
    """
    defaults = {
        "latent_dim": 2,
        "units": 4,
        "hidden_units": [5],
        "data_encoding_dim": 3,
        "latent_encoding_dim": 6,
    }
    cell = kf.VRNNCell(**{**defaults, **options})
    shapes = {"observations": (None, None, FEATURES)}
    if controls:
        shapes["controls"] = (None, None, CONTROLS)
    cell.build(shapes)
    randomize(cell)
    cell.center.assign(np.array([0.2, 0.5, -0.3], "float32"))
    cell.scale.assign(np.array([1.0, 0.5, 2.0], "float32"))
    if isinstance(cell.emission, kf.BernoulliHead):
        cell.emission.initial_bias.assign(np.array([-1, 0.5, 0], "float32"))
    return cell


def data(controls=True, mask=None, lengths=True, seed=1):
    """Keyword arguments of a bound: unequal lengths, junk beyond them.

    Args:
        controls: Whether to give exogenous inputs.
        mask: None, `"steps"` or `"entries"` to leave out some in the middle.
        lengths: Whether to give the lengths; a mask must tell them if not.
        seed: Of the data.
    """
    generator = np.random.default_rng(seed)
    shape = (BATCH, STEPS, FEATURES)
    found = {"observations": generator.integers(0, 2, shape).astype("float32")}
    if controls:
        found["controls"] = generator.standard_normal(
            (BATCH, STEPS, CONTROLS)
        ).astype("float32")
    observed = np.arange(STEPS) < LENGTHS[:, None]
    if mask is not None:
        observed[0, [0, 3]] = False
        observed[1, 1] = False
        if mask == "entries":
            observed = np.repeat(observed[..., None], FEATURES, -1)
            observed[0, 1, 2] = observed[2, 3, 0] = observed[2, 0, 1] = False
        found["mask"] = observed
    if lengths:
        found["lengths"] = LENGTHS
    return found
