"""A target that is multiplied by twists, which drop out at the end."""

from dataclasses import dataclass
from typing import Any, Protocol

import keras
from keras import ops

from keras_fivo.smc.particle_filter import StateSpaceModel
from keras_fivo.types import Nested, Tensor


class TwistedModel(StateSpaceModel, Protocol):
    """A model that says what its twist reads, and what that gives."""

    def twist_look_ahead(
        self, past: dict, present: Nested, inputs: dict
    ) -> Nested:
        """What log r needs of the observations, `(time, batch, ...)`."""

    def read_by_twist(self, context: Nested, embedded: Tensor) -> dict:
        """What `propose` keeps as `twist`, where inputs have a `twist`."""

    def log_twist(self, read: dict, look_ahead: Nested) -> Tensor:
        """Log r, `(rows,)`."""

    def initial_twist_reading(self, rows: int) -> dict:
        """Zeros of the shapes of `read_by_twist`, in float32."""


@dataclass(frozen=True)
class Twisted:
    """The model with the target p(z_1:t | x_1:t) r_t after step t.

    The log-weight of step t gains log r_t - log r_{t-1}, where r is 1 before
    the first step and at each sequence's last one. The value of log r_t
    stays in the states and moves with the ancestors; of particles that are
    blended it is computed again.

    Attributes:
        model: Proposes, weighs and gives log r.
        blends: Whether the scheme blends particles.
        detached: Whether log r has gradients for the twist's own weights
            alone.
    """

    model: Any
    blends: bool = False
    detached: bool = False

    def inputs(self, past: dict, present: Nested, inputs: dict) -> dict:
        """What `propose` takes as `twist`, time first.

        Args:
            past: The features of the past, `(time, batch, ...)`.
            present: Encoded observations, likewise.
            inputs: What was encoded, with `active`.
        """
        active = inputs["active"]
        look_ahead = self.model.twist_look_ahead(
            self._detach(past), self._detach(present), inputs
        )
        never = ops.zeros_like(active[:1])
        found = {
            "look_ahead": look_ahead,
            "continues": ops.concatenate([active[1:], never], axis=0),
        }
        if self.blends:
            found["continued"] = ops.concatenate([never, active[1:]], axis=0)
            found["before"] = keras.tree.map_structure(
                lambda x: ops.concatenate([x[:1], x[:-1]], axis=0), look_ahead
            )
        return found

    def wrap(self, states: Nested) -> dict:
        """States before the first step, where r is 1."""
        rows = ops.shape(keras.tree.flatten(states)[0])[0]
        if self.blends:
            twist = self.model.initial_twist_reading(rows)
        else:
            twist = ops.zeros((rows,))
        return {"model": states, "twist": twist}

    def unwrap(self, states: dict) -> Nested:
        """The model's states after the last step, where r is 1."""
        return states["model"]

    def propose(
        self, inputs: dict, states: dict
    ) -> tuple[dict, Tensor, dict, Nested]:
        """See `StateSpaceModel.propose`."""
        new_states, increment, record, proposed = self.model.propose(
            inputs, states["model"]
        )
        now, before = inputs["twist"], states["twist"]
        read = self._detach(record.pop("twist"))
        log_twist = self._value(read, now["look_ahead"], now["continues"])
        carried = log_twist
        if self.blends:
            before = self._value(before, now["before"], now["continued"])
            carried = keras.tree.map_structure(
                lambda x: ops.cast(x, "float32"), read
            )
        record["log_twist"] = log_twist
        return (
            {"model": new_states, "twist": carried},
            increment + log_twist - before,
            record,
            proposed,
        )

    def _detach(self, tree: Nested) -> Nested:
        if not self.detached:
            return tree
        return keras.tree.map_structure(ops.stop_gradient, tree)

    def _value(self, read: dict, look_ahead: Nested, counts: Tensor) -> Tensor:
        value = self.model.log_twist(read, look_ahead)
        return ops.where(counts, value, ops.zeros_like(value))

    def weigh(self, inputs: dict, proposed: Nested) -> Tensor:
        """See `StateSpaceModel.weigh`."""
        return self.model.weigh(inputs, proposed)
