"""Networks inside cells, heads and proposals."""

from keras_fivo.networks.network import Network as Network
from keras_fivo.networks.recurrence import Recurrence as Recurrence
