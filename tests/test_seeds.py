import itertools

import keras
import numpy as np
import pytest
from scipy import stats

import keras_fivo as kf
from keras_fivo.inference.generation import draw_generation_noise
from keras_fivo.inference.smoothing import Smoother
from keras_fivo.seeds import seed_generator, stream
from tests.reference.examples import numpy

SIZE = 12


def leaves(noise):
    """All numbers of a nested dict of noise, as uniforms, by their path."""
    found = {}
    for name, value in noise.items():
        if isinstance(value, dict):
            found |= {f"{name}/{k}": v for k, v in leaves(value).items()}
        else:
            flat = numpy(value).ravel()
            normal = flat.min() < 0
            found[name] = stats.norm.cdf(flat) if normal else flat
    return found


def smoothing(method, lag=None):
    cell, bound = chain()
    return Smoother(cell, method, bound, lag).draw(SIZE, SIZE, SIZE, 3)


def chain():
    cell = kf.LinearGaussianCell(1)
    cell.build((None, None, 1))
    return cell, kf.FIVO(SIZE, scheme="multinomial")


# Parts of the same number of random bits.
DRAWS = {
    "backward": (lambda: smoothing("backward"), 3),
    "fixed_lag": (lambda: smoothing("fixed_lag", 2), 3),
    "bound": (lambda: chain()[1].draw(chain()[0], SIZE, SIZE, 3), 2),
    "generation": (
        lambda: draw_generation_noise(chain()[0], SIZE, SIZE, 3).present(),
        2,
    ),
}


@pytest.mark.parametrize(("draw", "count"), DRAWS.values(), ids=DRAWS)
def test_the_parts_of_one_integer_seed_are_independent(draw, count):
    parts = leaves(draw())
    assert len(parts) == count
    for one, other in itertools.combinations(parts.values(), 2):
        size = min(len(one), len(other))
        # A correlation of n independent pairs deviates by n^-1/2.
        correlation = np.corrcoef(one[:size], other[:size])[0, 1]
        assert abs(correlation) < 5 / size**0.5


def test_streams_of_integers_differ_and_repeat():
    purposes = ("latent", "resampling", "smoothing")
    found = {stream(seed, x) for seed in (0, 1, 2) for x in purposes}
    assert len(found) == 9
    assert stream(np.int64(1), "latent") == stream(1, "latent")


def test_streams_of_generators_go_on_by_themselves():
    generator = seed_generator(0)
    assert stream(generator, "latent") is generator
    assert stream(None, "latent") is None
    first, second = (
        numpy(keras.random.uniform((8,), seed=stream(generator, "latent")))
        for _ in range(2)
    )
    assert not np.array_equal(first, second)
