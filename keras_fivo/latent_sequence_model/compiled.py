"""What a model has compiled, until its bounds are replaced."""

from collections.abc import Callable
from typing import Any

from keras_fivo import backend
from keras_fivo.types import Nested


class CompiledFunctions:
    """Functions over a model's weights, each compiled once.

    Args:
        model: Model whose variables the functions read.
        moves: Variables that they change, which are states of noise.
    """

    def __init__(self, model: Any, moves: list) -> None:
        self._model = model
        self._moves = moves
        self._functions: dict = {}
        self._values: dict = {}

    def __call__(self, key: Any, function: Callable, *arguments: Any) -> Nested:
        """Calls the function that is compiled under a key.

        Args:
            key: Says which function this is, and all that it closes over.
            function: Compiled if there is none under the key.
            *arguments: Nested tensors, or None.
        """
        if key not in self._functions:
            self._functions[key] = backend.compiled(
                function, self._model, self._moves
            )
        return self._functions[key](*arguments)

    def __len__(self) -> int:
        return len(self._functions)

    def once(self, key: Any, function: Callable) -> Any:
        """Returns what the function gave when it was first asked for."""
        if key not in self._values:
            self._values[key] = function()
        return self._values[key]

    def clear(self) -> None:
        """Forgets all functions."""
        self._functions.clear()
        self._values.clear()
