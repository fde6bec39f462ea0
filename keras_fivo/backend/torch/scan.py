"""The scan on PyTorch: a recorded step, run without Keras in the loop."""

from collections.abc import Callable
from typing import Any

import keras
import torch

from keras_fivo.backend.torch import execution
from keras_fivo.backend.torch.recorder import Untraceable
from keras_fivo.backend.torch.recording import record
from keras_fivo.backend.unrolled import write_out
from keras_fivo.types import Nested

try:
    from keras_fivo.backend.torch.program import find_program
except (ImportError, AttributeError) as error:
    # It leans on interfaces of PyTorch that another version may lack.
    _lacking = f"cannot be traced with PyTorch {torch.__version__} ({error})"

    def find_program(  # type: ignore[misc]
        recording: Any, carry: Nested, now: Nested, mode: str
    ) -> Any:
        """Says why no step can be traced."""
        raise Untraceable(_lacking)


def scan(
    step: Callable[[Nested, Nested], tuple[Nested, Nested]],
    carry: Nested,
    inputs: Nested,
    reverse: bool = False,
) -> tuple[Nested, Nested]:
    """Runs `step` along the first axis of `inputs`; see `jax.lax.scan`."""
    columns = keras.tree.flatten(inputs)
    mode = execution.current()
    if mode == "plain" or len(columns[0]) < 3:
        return write_out(step, carry, inputs, reverse)
    first = keras.tree.pack_sequence_as(inputs, [x[0] for x in columns])
    try:
        recording = record(step, carry, first)
        program = find_program(recording, carry, first, mode)
    except Untraceable as reason:
        execution.say_plain(reason)
        return write_out(step, carry, inputs, reverse)
    final, outputs = program.run(
        keras.tree.flatten(carry), columns, recording.captured, reverse
    )
    return (
        keras.tree.pack_sequence_as(carry, final),
        keras.tree.pack_sequence_as(recording.structure, outputs),
    )
