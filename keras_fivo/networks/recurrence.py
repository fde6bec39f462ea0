"""One step of a recurrent layer, with inputs that are projected before."""

from typing import Any

import keras
from keras import ops

from keras_fivo import backend
from keras_fivo.lookup import BuiltByOwner
from keras_fivo.networks.sizes import check_entries
from keras_fivo.types import Nested, Tensor


def _is_plain_lstm(cell: Any) -> bool:
    return (
        type(cell) is keras.layers.LSTMCell
        and cell.activation is keras.activations.tanh
        and cell.recurrent_activation is keras.activations.sigmoid
        and cell.use_bias
    )


def _refuse_dropout(cell: Any) -> None:
    for part in (cell, *getattr(cell, "cells", ())):
        for name in ("dropout", "recurrent_dropout"):
            if getattr(part, name, 0):
                raise ValueError(
                    "A recurrent cell with dropout of its own cannot run "
                    "inside the filter: its masks would be drawn in the "
                    f"loop. Received: cell={part!r} with {name}="
                    f"{getattr(part, name)}. Use the `dropout` argument of "
                    "the latent cell."
                )


@keras.saving.register_keras_serializable(package="keras_fivo")
class Recurrence(BuiltByOwner, keras.layers.Layer):
    """Any Keras RNN cell, with the inputs known before the loop projected.

    For `keras.layers.LSTMCell` the product of the kernel with what depends
    on observations alone is formed for all time steps at once. Other cells
    are called as they are, on the concatenation of their inputs.

    Args:
        cell: A Keras RNN cell without dropout of its own, whose output is
            its first argument to what follows.
    """

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _refuse_dropout(cell)
        self.cell = cell

    @classmethod
    def backward(cls, units: int, dtype: Any) -> "Recurrence":
        """Returns an LSTM that is to run from the last step to the first."""
        cell = keras.layers.LSTMCell(units, name="lstm_cell", dtype=dtype)
        return cls(cell, name="backward", dtype=dtype)

    @property
    def output_dim(self) -> int:
        """Size of the output of a step."""
        return int(self.cell.output_size)

    def build(
        self, observed_dim: int, latent_dim: int = 0, control_dim: int = 0
    ) -> None:
        """Creates the weights, for inputs in the order of the arguments.

        Args:
            observed_dim: Size of what is known before the loop.
            latent_dim: Size of what is known only inside it.
            control_dim: Size of the exogenous inputs, known before it.
        """
        self.observed_dim = int(observed_dim)
        self.latent_end = self.observed_dim + int(latent_dim)
        input_dim = self.latent_end + int(control_dim)
        # An LSTM has four gates, each of which reads inputs and states.
        gates = 4 * max(keras.tree.flatten(self.cell.state_size))
        check_entries("The RNN cell", max(input_dim, gates // 4), gates)
        if not self.cell.built:
            self.cell.build((None, input_dim))

    def initial_state(self, rows: int) -> Nested:
        """Returns the cell's initial states, nested `(rows, ...)`."""
        return self.cell.get_initial_state(batch_size=rows)

    def project(
        self, observed: Tensor, controls: Tensor | None = None
    ) -> Tensor:
        """Returns what a step needs of what is known before the loop.

        Args:
            observed: `(time, ..., observed_dim)`.
            controls: `(time, ..., control_dim)`, if there are any.
        """
        dtype = self.compute_dtype
        parts = [ops.cast(observed, dtype)]
        if controls is not None:
            parts.append(ops.cast(controls, dtype))
        if not _is_plain_lstm(self.cell):
            return ops.concatenate(parts, -1)
        kernel, starts = self.cell.kernel, (0, self.latent_end)
        return backend.linear(
            [(x, kernel, n) for x, n in zip(parts, starts, strict=False)],
            self.cell.bias,
        )

    def call(
        self, projected: Tensor, latent: Tensor | None, states: Nested
    ) -> tuple[Tensor, Nested]:
        """Takes one step; returns the output and the new states.

        Args:
            projected: `(rows, ...)`, one step of `project`.
            latent: `(rows, latent_dim)`, or None.
            states: As from `initial_state`.
        """
        if _is_plain_lstm(self.cell):
            return self._lstm(projected, latent, states)
        if latent is not None:
            latent = ops.cast(latent, self.compute_dtype)
            observed = projected[:, : self.observed_dim]
            controls = projected[:, self.observed_dim :]
            projected = ops.concatenate([observed, latent, controls], -1)
        output, new_states = self.cell(projected, states)
        # A cell may give a tuple for the list that it took: no loop has that.
        return output, keras.tree.pack_sequence_as(
            states, keras.tree.flatten(new_states)
        )

    def _lstm(
        self, projected: Tensor, latent: Tensor | None, states: list
    ) -> tuple[Tensor, list]:
        hidden, memory = states
        parts = [(hidden, self.cell.recurrent_kernel, 0)]
        if latent is not None:
            latent = ops.cast(latent, self.compute_dtype)
            parts.append((latent, self.cell.kernel, self.observed_dim))
        gates = projected + backend.linear(parts)
        enter, forget, change, leave = ops.split(gates, 4, axis=-1)
        memory = ops.sigmoid(forget) * memory + ops.sigmoid(enter) * ops.tanh(
            change
        )
        hidden = ops.sigmoid(leave) * ops.tanh(memory)
        return hidden, [hidden, memory]

    def run(
        self, observed: Tensor, active: Tensor, reverse: bool = False
    ) -> Tensor:
        """Returns outputs over a whole sequence, from the initial state.

        Args:
            observed: `(time, batch, observed_dim)`.
            active: Boolean `(time, batch)`; the state stays where it was in
                steps that are not active, so a reverse run of a padded
                sequence begins at its own last step.
            reverse: Whether to run from the last step to the first.

        Returns:
            `(time, batch, output_dim)`.
        """
        outputs, _ = self.run_from(
            self.initial_state(ops.shape(observed)[1]),
            observed,
            active,
            reverse,
        )
        return outputs

    def run_from(
        self,
        states: Nested,
        observed: Tensor,
        active: Tensor,
        reverse: bool = False,
        controls: Tensor | None = None,
    ) -> tuple[Tensor, Nested]:
        """Runs from given states, as `run`; also returns the last states."""

        def step(states: Nested, inputs: Nested) -> Any:
            projected, keep = inputs
            output, new_states = self.call(projected, None, states)
            keep = ops.expand_dims(keep, -1)
            new_states = keras.tree.map_structure(
                lambda new, old: ops.where(keep, new, old), new_states, states
            )
            return new_states, output

        states, outputs = backend.scan(
            step, states, (self.project(observed, controls), active), reverse
        )
        return outputs, states

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"cell": keras.saving.serialize_keras_object(self.cell)}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict) -> "Recurrence":
        """Rebuilds the recurrence with its cell."""
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        return cls(cell, **config)
