"""Networks inside cells, heads and proposals."""

from keras_fivo.networks.network import Network as Network
from keras_fivo.networks.recurrence import Recurrence as Recurrence
from keras_fivo.networks.sizes import check_entries as check_entries
