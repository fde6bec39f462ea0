"""Products of a recorded step with what it captured.

Their weights get their gradients after the loop; see the README of `backend`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from keras_fivo.backend.torch.recorder import Call, Reference
from keras_fivo.backend.torch.recording import Recording

_TENSOR = torch.Tensor
_PRODUCTS = {torch.matmul, torch.mm, _TENSOR.matmul, _TENSOR.__matmul__}
_SUMS = {torch.add, _TENSOR.add, _TENSOR.__add__}


@dataclass(frozen=True)
class Product:
    """A product of rows with a weight that the step captured, and a bias.

    Attributes:
        rows: What is multiplied, `(..., inputs)`.
        kernel: Place of the weight, `(inputs, outputs)`, among the captured.
        bias: That of the bias, `(outputs,)`, or None.
    """

    rows: Reference
    kernel: int
    bias: int | None = None


def find_products(recording: Recording) -> dict[int, Product | None]:
    """Finds products whose weights' gradients may be formed after the loop.

    Returns:
        Each by the index of the call that gives it; None for a call that is
        part of the one that adds the bias.
    """
    calls, tensors = recording.calls, recording.tensors
    found: dict[int, Product | None] = {}
    # What is changed in place is no longer what the product gave.
    if any(x.results is None and not _switches(x) for x in calls):
        return found
    apart, enabled = _differentiated(calls), True
    evaluates = not torch.is_grad_enabled()
    givers: dict[Reference, int] = {}
    used = [*recording.carry, *recording.outputs]
    used += [x for call in calls for x in _used(call)]
    for i, call in enumerate(calls):
        if _switches(call):
            (enabled,) = call.arguments
        if i in apart or not enabled or call.options:
            continue
        if call.function in _PRODUCTS:
            rows, kernel = call.arguments
            weight = tensors[kernel]
            if rows >= 0 > kernel and weight.ndim == 2 <= tensors[rows].ndim:
                if weight.requires_grad or evaluates:
                    found[i] = Product(rows, ~kernel)
                    givers[call.results] = i
        elif call.function in _SUMS:
            product, bias = call.arguments
            if _is_bias(bias, product, tensors) and used.count(product) == 1:
                giver = givers.get(product, -1)
                alone = found.get(giver)
                if alone is not None:
                    found[i] = replace(alone, bias=~bias)
                    found[giver] = None
    return found


def _switches(call: Call) -> bool:
    return call.function is torch.set_grad_enabled


def _is_bias(bias: Any, product: Any, tensors: dict) -> bool:
    """Tells whether a captured vector is added to each row of a matrix."""
    if not all(isinstance(x, Reference) for x in (bias, product)) or bias >= 0:
        return False
    vector, matrix = tensors[bias], tensors[product]
    same = vector.dtype == matrix.dtype
    return same and matrix.ndim == 2 and matrix.shape[1:] == vector.shape


def _differentiated(calls: list[Call]) -> set[int]:
    """Finds the calls that a gradient in the step is taken through."""
    found: set[int] = set()
    for end, call in enumerate(calls):
        if call.function is torch.autograd.grad:
            moved = set(_references(call.arguments[1]))
            for i, earlier in enumerate(calls[:end]):
                if moved.intersection(_used(earlier)):
                    moved.update(_references(earlier.results))
                    found.add(i)
    return found


def _used(call: Call) -> Iterator[Reference]:
    return _references([*call.arguments, *call.options.values()])


def _references(x: Any) -> Iterator[Reference]:
    if isinstance(x, Reference):
        yield x
    elif isinstance(x, (list, tuple)):
        for item in x:
            yield from _references(item)
    elif isinstance(x, slice):
        yield from _references((x.start, x.stop, x.step))


def replay(
    recording: Recording,
    products: dict[int, Product | None],
    inputs: Sequence[torch.Tensor],
    captured: Sequence[torch.Tensor],
) -> tuple[list, list, list]:
    """Runs a recorded step for other tensors.

    Args:
        recording: The step.
        products: As from `find_products`; their weights are constants here.
        inputs: The carry and the step's inputs.
        captured: In the place of what it captured.

    Returns:
        The new carry and the outputs; what each product read, and gave.
    """
    # By number, as references are numbers.
    values: dict[int, torch.Tensor] = dict(enumerate(inputs))
    values.update((~i, x) for i, x in enumerate(captured))
    rows, given = [], []

    def read(x: Any) -> Any:
        if isinstance(x, Reference):
            return values[x]
        if isinstance(x, (list, tuple)):
            items = [read(item) for item in x]
            return items if isinstance(x, list) else tuple(items)
        if isinstance(x, slice):
            return slice(read(x.start), read(x.stop), read(x.step))
        return x

    for i, call in enumerate(recording.calls):
        product = products.get(i)
        if product is not None:
            rows.append(values[product.rows])
            kernel = captured[product.kernel].detach()
            if product.bias is None:
                result = rows[-1] @ kernel
            else:
                bias = captured[product.bias].detach()
                result = torch.addmm(bias, rows[-1], kernel)
            if torch.is_grad_enabled() and not result.requires_grad:
                # It has no history of its own where the rows have none.
                result.requires_grad_()
            given.append(result)
        elif i in products:
            continue
        else:
            options = {name: read(x) for name, x in call.options.items()}
            result = call.function(*read(call.arguments), **options)
        if isinstance(call.results, Reference):
            values[call.results] = result
        elif call.results is not None:
            values.update(zip(call.results, result, strict=True))
    return (
        [read(x) for x in (*recording.carry, *recording.outputs)],
        rows,
        given,
    )
