"""Networks inside cells, heads and proposals."""

from keras_fivo.networks.activations import (
    clipped_leaky_relu as clipped_leaky_relu,
)
from keras_fivo.networks.frames import VGG as VGG
from keras_fivo.networks.frames import FrameDecoder as FrameDecoder
from keras_fivo.networks.frames import FrameEncoder as FrameEncoder
from keras_fivo.networks.frames import (
    check_normalization as check_normalization,
)
from keras_fivo.networks.highway import HighwayNetwork as HighwayNetwork
from keras_fivo.networks.network import Identity as Identity
from keras_fivo.networks.network import Network as Network
from keras_fivo.networks.network import Projected as Projected
from keras_fivo.networks.recurrence import Recurrence as Recurrence
from keras_fivo.networks.recurrent_cells import (
    get_recurrent_cell as get_recurrent_cell,
)
from keras_fivo.networks.sizes import Sizes as Sizes
from keras_fivo.networks.sizes import check_entries as check_entries
from keras_fivo.networks.step_pairs import at_steps as at_steps
from keras_fivo.networks.step_pairs import by_pair as by_pair
from keras_fivo.networks.step_pairs import check_steps as check_steps
from keras_fivo.networks.step_pairs import from_first_step as from_first_step
