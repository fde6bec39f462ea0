"""One time step of a model, as a Keras layer."""

from keras_fivo.cells.ghmm import GHMMCell as GHMMCell
from keras_fivo.cells.latent_cell import LatentCell as LatentCell
from keras_fivo.cells.linear_gaussian import ExactResult as ExactResult
from keras_fivo.cells.linear_gaussian import (
    LinearGaussianCell as LinearGaussianCell,
)
from keras_fivo.cells.srnn import SRNNCell as SRNNCell
from keras_fivo.cells.stochastic_volatility import (
    StochasticVolatilityCell as StochasticVolatilityCell,
)
from keras_fivo.cells.structural import StructuralCell as StructuralCell
from keras_fivo.cells.svg import SVGCell as SVGCell
from keras_fivo.cells.switching import RegimeResult as RegimeResult
from keras_fivo.cells.switching import SwitchingCell as SwitchingCell
from keras_fivo.cells.vrnn import VRNNCell as VRNNCell
