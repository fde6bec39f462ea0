"""A network gives the same with some of its inputs projected before."""

import itertools

import keras
import numpy as np
import pytest

from keras_fivo import backend
from keras_fivo.networks import Network
from tests.reference.examples import numpy

DIMS, ROWS = (2, 3, 4), 5
PLACES = [
    places
    for count in (1, 2, 3)
    for places in itertools.combinations(range(3), count)
]


def network():
    made = Network([6, 2], activation="tanh")
    made.build(DIMS)
    return made


def inputs(*lead):
    generator = np.random.default_rng(0)
    return [
        keras.ops.convert_to_tensor(
            generator.standard_normal((*lead, size)), "float32"
        )
        for size in DIMS
    ]


@pytest.mark.parametrize("places", PLACES)
def test_projected_inputs_stand_for_themselves(places):
    made, given = network(), inputs(ROWS)
    expected = numpy(made.call(given))
    projected = made.project({place: given[place] for place in places})
    found = made.call([*given, projected])
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5, atol=1e-6)
    # What is covered is not read, and may be left off the end.
    wrong = [x + 7.0 if i in places else x for i, x in enumerate(given)]
    while len(wrong) - 1 in places:
        wrong.pop()
    found = made.call([*wrong, projected])
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5, atol=1e-6)


def test_places_may_count_from_the_end():
    made, given = network(), inputs(ROWS)
    (one,), (other,) = (
        made.project({place: given[2]}).items() for place in (2, -1)
    )
    assert one[0] == other[0] == (2,)
    np.testing.assert_array_equal(numpy(one[1]), numpy(other[1]))


def test_a_scan_takes_a_step_of_what_is_projected():
    made, given = network(), inputs(4, ROWS)

    def step(carry, now):
        return carry, made.call([*now["rest"], now["projected"]])

    scanned = {"rest": given[:2], "projected": made.project({2: given[2]})}
    _, found = backend.scan(step, keras.ops.zeros((1,)), scanned)
    np.testing.assert_allclose(
        numpy(found), numpy(made.call(given)), rtol=1e-5, atol=1e-6
    )


def test_an_input_that_is_missing_is_named():
    made, given = network(), inputs(ROWS)
    with pytest.raises(ValueError, match=r"inputs \[0\] and projected .*\[2\]"):
        made.call([given[0], made.project({2: given[2]})])
    with pytest.raises(ValueError, match=r"Received: inputs \[0, 1\]"):
        made.call(given[:2])
