"""Recurrent cells of Keras, by name, from a layer, or as they are."""

from typing import Any

import keras

_CELLS = {
    "gru": keras.layers.GRUCell,
    "lstm": keras.layers.LSTMCell,
    "simple_rnn": keras.layers.SimpleRNNCell,
}


def get_recurrent_cell(identifier: Any, units: int, **options: Any) -> Any:
    """Returns a Keras RNN cell.

    Args:
        identifier: A cell; a layer, such as `keras.layers.GRU(16)`, whose cell
            is taken; or `"gru"`, `"lstm"` or `"simple_rnn"`.
        units: Size of a cell that is given by name.
        **options: Likewise what every layer takes.

    Raises:
        ValueError: For a name that is not known, or a layer that runs
            backwards.
        TypeError: For anything that is no cell.
    """
    if isinstance(identifier, str):
        if identifier not in _CELLS:
            raise ValueError(
                f"`recurrent` must be one of {sorted(_CELLS)}, a cell or a "
                f"layer of Keras. Received: recurrent={identifier!r}"
            )
        return _CELLS[identifier](units, name=f"{identifier}_cell", **options)
    if isinstance(identifier, keras.layers.RNN):
        if identifier.go_backwards or identifier.built:
            raise ValueError(
                "A recurrent layer must run forwards, and have no weights "
                "yet: the filter takes its cell. "
                f"Received: recurrent={identifier!r}"
            )
        return identifier.cell
    if not (hasattr(identifier, "state_size") and callable(identifier)):
        raise TypeError(
            f"`recurrent` must be one of {sorted(_CELLS)}, a cell or a layer "
            f"of Keras. Received: recurrent={identifier!r}"
        )
    return identifier
