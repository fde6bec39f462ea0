"""Products with weights, declared to the scan in whose step they are.

The backward loop of a scan adds to the gradient of each weight at every step:
a product of few rows, and a pass over all weights. The gradient of a declared
product is formed after the loop instead, from what the product read and from
the gradient of what it gave, of all steps at once; see README.md.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_fivo.types import Nested, Tensor

Part = tuple[Tensor, Any, int]
_ACTIVE: contextvars.ContextVar[Any] = contextvars.ContextVar(
    "products", default=None
)
_PLAIN = object()
_GRADIENTS = contextvars.ContextVar("gradients", default=True)
_COUNT = 0


def linear(parts: Sequence[Part], bias: Any = None) -> Tensor:
    """Sums products of rows with parts of kernels, and a bias.

    Inside a scan this declares one product, if the kernels and the bias are
    variables, which the step of the scan must not assign.

    Args:
        parts: For each product, rows `(..., size)`, the kernel, and the first
            of its `size` rows to take.
        bias: `(outputs,)`, or None.

    Returns:
        `(..., outputs)`, in the dtype of the rows.
    """
    rows = [part[0] for part in parts]
    joined = rows[0] if len(rows) == 1 else ops.concatenate(rows, -1)
    weights = [_Weight.joined(parts, joined.dtype)]
    if bias is not None:
        weights.append(_Weight(((bias, 0, bias.shape[0]),), joined.dtype))
    products = _ACTIVE.get()
    declared = isinstance(products, Products) and all(
        isinstance(variable, keras.Variable)
        for weight in weights
        for variable, *_ in weight.spans
    )
    if not declared:
        return multiply(joined, *(weight.read() for weight in weights))
    return products.product(joined, weights)


@dataclass(frozen=True)
class _Weight:
    """Rows of variables, joined, in a dtype.

    Attributes:
        spans: For each variable the first row, and the one after the last.
        dtype: The dtype to cast to.
    """

    spans: tuple
    dtype: Any

    @classmethod
    def joined(cls, parts: Sequence[Part], dtype: Any) -> "_Weight":
        """Joins the rows of kernels that parts of a product read."""
        spans: list[tuple] = []
        for rows, kernel, start in parts:
            end = start + int(rows.shape[-1])
            if spans and spans[-1][0] is kernel and spans[-1][2] == start:
                start = spans.pop()[1]
            spans.append((kernel, start, end))
        return cls(tuple(spans), dtype)

    @property
    def key(self) -> tuple:
        """What tells it from others."""
        spans = ((id(x), start, end) for x, start, end in self.spans)
        return (str(self.dtype), *spans)

    def read(self) -> Tensor:
        """Returns the tensor."""
        taken = [
            ops.cast(
                x if (start, end) == (0, x.shape[0]) else x[start:end],
                self.dtype,
            )
            for x, start, end in self.spans
        ]
        return taken[0] if len(taken) == 1 else ops.concatenate(taken, 0)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Products and scans inside are plain: no rows leave their loops."""
    with _set(_ACTIVE, _PLAIN):
        yield


def lifts() -> bool:
    """Tells whether a scan lifts its products: not where it runs plainly."""
    return _ACTIVE.get() is not _PLAIN and differentiates()


def in_step() -> bool:
    """Tells whether this is a step of a scan that notes or lifts products."""
    return isinstance(_ACTIVE.get(), Products)


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Says that nothing that is computed inside will be differentiated."""
    with _set(_GRADIENTS, False):
        yield


def differentiates() -> bool:
    """Tells whether what is computed now may be differentiated."""
    return _GRADIENTS.get()


def lifted_products() -> int:
    """Counts products whose gradients were formed after their loop so far.

    Where a training step is compiled they count once, when it is traced.
    """
    return _COUNT


@dataclass(frozen=True)
class Call:
    """One product of a step.

    Attributes:
        weights: Positions of the kernel, and of the bias if there is one,
            among the values of `Products`.
        rows: Position of what it reads among `reads` of `Products`.
        shape: Shape of what it gives; a size that is not known is a tensor.
        dtype: Its dtype.
    """

    weights: list[int]
    rows: int
    shape: tuple
    dtype: Any


class Products:
    """The products that the step of one scan declares.

    `noting` makes a step that notes them, to be run once abstractly;
    `lifted` one that takes the weights and zeros to add as arguments, and
    returns what the products read.

    Args:
        multiply: A product of `(rows, [kernel, bias], slot)`, as `multiply`
            plus the slot, which is zero; the bias may be absent. What it
            takes for the weights' gradients, they get besides `gradients`.

    Attributes:
        calls: A `Call` for each product, in their order.
        reads: Shapes and dtypes of what they read, each tensor once.
    """

    def __init__(self, multiply: Callable[[Any, list, Any], Any]) -> None:
        self.calls: list[Call] = []
        self.reads: list[tuple] = []
        self._multiply = multiply
        self._weights: dict[tuple, _Weight] = {}
        self._seen: list = []
        self._run: _Run | None = None

    def noting(self, step: Callable) -> Callable:
        """Returns the same step, to be called once: that finds products."""

        def run(carry: Nested, now: Nested) -> tuple[Nested, Nested]:
            self.calls, self._weights, self._run = [], {}, None
            self._seen = []
            with _set(_ACTIVE, self):
                results = step(carry, now)
            self.reads = [(tuple(x.shape), x.dtype) for x in self._seen]
            self._seen = []
            return results

        return run

    def values(self) -> list[Tensor]:
        """Returns kernels and biases of products, as these read them."""
        return [weight.read() for weight in self._weights.values()]

    def lifted(self, step: Callable) -> Callable:
        """Returns the step as a function `(values, slots, carry, now)`.

        Values are as from `values`, slots zeros of the shapes of `calls`, or
        None. It returns the carry, the outputs, and the rows that products
        read, as in `reads`.
        """

        def run(
            values: list, slots: list | None, carry: Nested, now: Nested
        ) -> tuple[Nested, Nested, list]:
            outer, self._run = self._run, _Run(values, slots)
            try:
                with _set(_ACTIVE, self):
                    carry, outputs = step(carry, now)
                return carry, outputs, self._run.rows
            finally:
                self._run = outer

        return run

    def product(self, rows: Tensor, weights: list[_Weight]) -> Tensor:
        """Computes one product of the step that runs.

        Args:
            rows: `(..., inputs)`.
            weights: The kernel, and the bias if there is one.
        """
        run = self._run
        if run is None:
            result = multiply(rows, *(weight.read() for weight in weights))
            for weight in weights:
                self._weights.setdefault(weight.key, weight)
            keys = list(self._weights)
            places = [keys.index(weight.key) for weight in weights]
            read = next(
                (i for i, x in enumerate(self._seen) if x is rows),
                len(self._seen),
            )
            self._seen[read:] = self._seen[read:] or [rows]
            shape = tuple(ops.shape(result))
            self.calls.append(Call(places, read, shape, result.dtype))
            return result
        call = self.calls[run.count]
        values = [run.values[i] for i in call.weights]
        slot = None if run.slots is None else run.slots[run.count]
        run.count += 1
        if call.rows == len(run.rows):
            run.rows.append(rows)
        if slot is None:
            return multiply(rows, *values)
        return self._multiply(rows, values, slot)

    def gradients(self, rows: list, slots: list) -> list[Tensor | None]:
        """Forms the gradients of `values`, from all steps at once.

        Args:
            rows: `(time, ..., inputs)`, what products read, as in `reads`.
            slots: `(time, ..., outputs)`, gradients of what each gave.
        """
        global _COUNT
        _COUNT += len(self.calls)
        totals: list = [None] * len(self._weights)
        for call, slot in zip(self.calls, slots, strict=True):
            # (time, ..., size) -> (time * ..., size)
            read = rows[call.rows]
            read = ops.reshape(read, (-1, read.shape[-1]))
            slot = ops.reshape(slot, (-1, slot.shape[-1]))
            found = [ops.matmul(ops.transpose(read), slot)]
            if len(call.weights) > 1:
                wide = keras.backend.result_type(slot.dtype, "float32")
                total = ops.sum(ops.cast(slot, wide), axis=0)
                found.append(ops.cast(total, slot.dtype))
            for i, gradient in zip(call.weights, found, strict=True):
                total = totals[i]
                totals[i] = gradient if total is None else total + gradient
        return totals


@dataclass
class _Run:
    """What a lifted step was given, and what its products read so far."""

    values: list
    slots: list | None
    rows: list = field(default_factory=list)
    count: int = 0


def multiply(rows: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Any:
    """Returns `rows @ kernel + bias`."""
    product = ops.matmul(rows, kernel)
    return product if bias is None else product + bias


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar, value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
