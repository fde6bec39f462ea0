"""A cell whose target is multiplied by its twist, which ends as one."""

from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

from keras_fivo.axes import zero_beyond
from keras_fivo.networks import Sizes
from keras_fivo.types import Nested, Tensor


@dataclass(frozen=True)
class TwistedCell:
    """A cell with the target p(z_1:t | x_1:t) r_t after step t.

    The log-weight of step t gains log r_t - log r_{t-1}, where r is 1 before
    the first step and at each sequence's last one. The value of log r_t
    stays in the states and moves with the ancestors; of particles that are
    blended it is computed again.

    Attributes:
        cell: A `LatentCell` that has a twist.
        blends: Whether the resampling scheme blends particles.
    """

    cell: Any
    blends: bool = False

    @staticmethod
    def sizes(cell: Any) -> Sizes:
        """Returns what the twist of a cell is built for."""
        sizes: Sizes = cell.sizes()
        features = {name: sizes.features[name] for name in cell.twist_features}
        return replace(sizes, features=features)

    def inputs(self, past: dict, present: Nested, inputs: dict) -> dict:
        """Returns what `call` takes as `twist`, time first.

        Args:
            past: The features of the past, `(time, batch, ...)`.
            present: Encoded observations, likewise.
            inputs: What was encoded, with `active`.
        """
        active = inputs["active"]
        look_ahead = self.look_ahead(past, present, inputs)
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

    def look_ahead(self, past: dict, present: Nested, inputs: dict) -> Nested:
        """Returns what `log_twist` needs of the future, `(time, batch, ...)`.

        Args:
            past: The features of the past, `(time, batch, ...)`.
            present: Encoded observations, likewise.
            inputs: What was encoded.
        """
        past = self.cell.past_of_all_steps(self._detach(past))
        return self.cell.twist.look_ahead(past, self._detach(present), inputs)

    def read(self, context: Nested, embedded: Tensor) -> list[Tensor]:
        """Returns what the future may depend on, `(rows, size)` each.

        Args:
            context: The context of the step.
            embedded: z_t as networks read it; the last of the list.
        """
        features = [context[name] for name in self.cell.twist_features]
        return self._detach([*features, embedded])

    def log_twist(self, read: list[Tensor], look_ahead: Nested) -> Tensor:
        """Returns log r of the future, `(rows,)`.

        Args:
            read: As from `read`.
            look_ahead: One step of what `look_ahead` returned, by rows.
        """
        return self.cell.twist.log_twist(read[:-1], read[-1], look_ahead)

    def wrap(self, states: Nested) -> dict:
        """Adds r = 1 to the states before the first step."""
        rows = ops.shape(keras.tree.flatten(states)[0])[0]
        twist = ops.zeros((rows,))
        if self.blends:
            sizes = self.sizes(self.cell)
            dims = [*sizes.context_dims, sizes.embedded_dim]
            twist = [ops.zeros((rows, size)) for size in dims]
        return {"model": states, "twist": twist}

    def unwrap(self, states: dict) -> Nested:
        """Returns the cell's states after the last step, where r is 1."""
        return states["model"]

    def call(self, inputs: dict, states: dict) -> tuple[Any, dict]:
        """Takes one step, by rows; see `LatentCell.call`."""
        result, new_states = self.cell.call(inputs, states["model"])
        now, before = inputs["twist"], states["twist"]
        read = self.read(result.context, result.emitted["embedded"])
        log_twist = self._value(read, now["look_ahead"], now["continues"])
        carried = log_twist
        if self.blends:
            before = self._value(before, now["before"], now["continued"])
            carried = [ops.cast(x, "float32") for x in read]
        result = replace(result, log_twist=log_twist, log_twist_before=before)
        return result, {"model": new_states, "twist": carried}

    def weigh(self, inputs: dict, emitted: Nested) -> Tensor:
        """Weighs as the cell does; see `LatentCell.weigh`."""
        return self.cell.weigh(inputs, emitted)

    def _value(self, read: list, look_ahead: Nested, counts: Tensor) -> Tensor:
        return zero_beyond(counts, self.log_twist(read, look_ahead))

    def _detach(self, tree: Nested) -> Nested:
        """Leaves to log r the gradients of the twist's own weights alone."""
        if self.cell.twist.own_objective is None:
            return tree
        return keras.tree.map_structure(ops.stop_gradient, tree)
