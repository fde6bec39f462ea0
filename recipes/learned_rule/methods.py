"""What turns images into features: learned rules, and what they must beat.

A method sees unlabelled images and gives features of others, `(examples,
features)`. `units` are the sizes of the layers, the embedding last.
"""

import keras
import numpy as np
from keras import ops

import keras_fivo as kf

BATCH_SIZE = 64


def flat(images):
    """Returns images as vectors."""
    return np.asarray(images, "float32").reshape(len(images), -1)


def raw_pixels(unlabelled, images, **_):
    return flat(images)


def principal_components(unlabelled, images, units, **_):
    """Returns as many principal components as the embedding has units."""
    x = flat(unlabelled)
    mean = x.mean(0)
    _, components = np.linalg.eigh(np.cov(x.T))
    return (flat(images) - mean) @ components[:, ::-1][:, : units[-1]]


def few_components(unlabelled, images, **_):
    """Returns so few components that they leave out what is small."""
    return principal_components(unlabelled, images, units=(32,))


def random_initialisation(unlabelled, images, units, seed, rule, **_):
    """Returns features of a base model that has learned nothing."""
    return kf.LearnedRuleModel(rule, units, seed=seed).predict(flat(images))


def learned_rule(unlabelled, images, units, seed, rule, updates, **changes):
    """Returns features of a base model that a rule has trained."""
    model = kf.LearnedRuleModel(rule, units, seed=seed, **changes)
    batches = Batches(flat(unlabelled), updates, seed)
    model.fit(batches, shuffle=False, verbose=0)
    return model.predict(flat(images))


def untrained_rule(unlabelled, images, units, seed, rule, updates, **_):
    """Returns features of a base model that an untrained rule has trained."""
    keras.utils.set_random_seed(seed)
    twin = type(rule).from_config(rule.get_config())
    return learned_rule(unlabelled, images, units, seed, twin, updates)


class Batches(keras.utils.PyDataset):
    """A number of batches, every image once before any comes again.

    Args:
        x: Images as vectors.
        updates: Number of batches, those that are left out among them.
        seed: Seed of their order.
        start: Number of batches that are left out.
    """

    def __init__(self, x, updates, seed, start=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        rounds = 1 + updates * BATCH_SIZE // len(x)
        order = np.concatenate([rng.permutation(len(x)) for _ in range(rounds)])
        rows = order[: updates * BATCH_SIZE]
        self.batches = x[rows.reshape(updates, BATCH_SIZE)[start:]]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return (self.batches[index],)


def autoencoder(unlabelled, images, units, seed, epochs=15, **_):
    """Returns the code of an autoencoder with the layers of the base model."""
    keras.utils.set_random_seed(seed)
    x = flat(unlabelled)
    encoder, decoder = _layers(x.shape[1], units, units[-1], "relu")
    model = keras.Sequential([encoder, decoder])
    model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=True)
    model.fit(x, x, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    return encoder.predict(flat(images), batch_size=512, verbose=0)


def variational_autoencoder(unlabelled, images, units, seed, epochs=15, **_):
    """Returns the mean of a VAE's code, with the layers of the base model."""
    keras.utils.set_random_seed(seed)
    x = flat(unlabelled)
    encoder, decoder = _layers(x.shape[1], units, 2 * units[-1], None)
    model = _Variational(encoder, decoder, units[-1], seed)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
    model.fit(x, x, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    code = encoder.predict(flat(images), batch_size=512, verbose=0)
    return code[:, : units[-1]]


def _layers(inputs, units, code, activation):
    dense = keras.layers.Dense
    encoder = [dense(size, "relu") for size in units[:-1]]
    decoder = [dense(size, "relu") for size in units[-2::-1]]
    return (
        keras.Sequential(
            [keras.Input((inputs,)), *encoder, dense(code, activation)]
        ),
        keras.Sequential([*decoder, dense(inputs, "sigmoid")]),
    )


class _Variational(keras.Model):
    def __init__(self, encoder, decoder, code, seed):
        super().__init__()
        self.encoder, self.decoder, self.code = encoder, decoder, code
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        both = self.encoder(x)
        mean, scale = both[:, : self.code], ops.softplus(both[:, self.code :])
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        kl = 0.5 * (ops.square(mean) + ops.square(scale) - 1.0)
        kl = kl - ops.log(scale + 1e-6)
        self.add_loss(ops.mean(ops.sum(kl, -1)))
        return self.decoder(mean + scale * noise)

    def compute_loss(self, x=None, y=None, y_pred=None, *_, **__):
        likelihood = ops.binary_crossentropy(y, ops.clip(y_pred, 1e-4, 0.9999))
        return ops.mean(ops.sum(likelihood, -1)) + sum(self.losses)


def four(method):
    """Puts features of four base models beside each other, as one kernel's."""

    def found(unlabelled, images, seed, **settings):
        several = [
            method(unlabelled, images, seed=4 * seed + i, **settings)
            for i in range(4)
        ]
        return np.concatenate(several, axis=1) / 2.0

    return found


METHODS = {
    "raw pixels": raw_pixels,
    "principal components": principal_components,
    "32 principal components": few_components,
    "random initialisation": random_initialisation,
    "untrained rule": untrained_rule,
    "autoencoder": autoencoder,
    "VAE": variational_autoencoder,
    "meta-trained rule": learned_rule,
    "random initialisation, four": four(random_initialisation),
    "meta-trained rule, four": four(learned_rule),
}
DETERMINISTIC = tuple(METHODS)[:3]
