"""What the filter guesses of the future: r(x_t+1:T | z_t, ...)."""

from typing import Any

from keras_fivo.lookup import find
from keras_fivo.twists.exact import ExactTwist as ExactTwist
from keras_fivo.twists.look_ahead import LookAheadTwist as LookAheadTwist
from keras_fivo.twists.one_step import OneStepTwist as OneStepTwist
from keras_fivo.twists.quadratic import QuadraticTwist as QuadraticTwist
from keras_fivo.twists.twist import Twist as Twist
from keras_fivo.twists.twisted_cell import TwistedCell as TwistedCell

_TWISTS: dict[str, type[Twist]] = {
    "one_step": OneStepTwist,
    "look_ahead": LookAheadTwist,
    "exact": ExactTwist,
}


def get_twist(identifier: Any) -> Twist:
    """Returns a twist from an object or a name; see `find`."""
    return find(identifier, _TWISTS, Twist, "twist")
