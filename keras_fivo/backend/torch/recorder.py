"""Records calls of PyTorch functions by what they depend on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import torch
from torch.overrides import TorchFunctionMode


class Untraceable(Exception):  # noqa: N818 - a reason, not a fault
    """Why a step must run as plain Python, time after time."""


class Reference(int):
    """Stands for a tensor in a recorded call.

    From 0: the step's inputs, then what its calls return, in their order.
    Below 0: what the step captured, from -1 down.
    """


@dataclass(frozen=True)
class Call:
    """One call, with references for tensors.

    Attributes:
        function: What is called.
        arguments: Its arguments.
        options: Its keyword arguments.
        results: A reference, or several, of what it gives; None where it
            changes a tensor in place, or switches gradients on or off.
    """

    function: Callable
    arguments: tuple
    options: dict
    results: Any


# What a step may ask of a tensor without reading its values.
_READS = frozenset(
    "shape dtype device ndim is_meta requires_grad layout is_sparse names "
    "is_sparse_csr is_quantized is_cuda is_cpu is_mps is_leaf is_nested "
    "itemsize nbytes size dim numel nelement stride is_floating_point "
    "is_complex element_size get_device is_contiguous type result_type "
    "promote_types can_cast is_tensor is_storage __len__ __hash__ "
    "is_inference is_signed is_same_size".split()
)
_VIEWS = frozenset(("T", "mT", "H", "mH", "real", "imag", "data"))
_WRITERS = frozenset(
    "add_ sub_ mul_ div_ masked_fill_ clamp_ __setitem__ __iadd__ __isub__ "
    "__imul__ __itruediv__ __idiv__".split()
)
_REFUSED = frozenset("__set__ __delitem__ backward register_hook".split())
_RANDOM = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like normal "
    "bernoulli multinomial poisson dropout alpha_dropout feature_dropout "
    "native_dropout rrelu".split()
)


def _kind(function: Callable) -> str:
    """Returns `read`, `write`, `switch`, `call`, or why it is refused."""
    name = getattr(function, "__name__", "")
    attribute = name == "__get__"
    if attribute:
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    if name in _READS:
        return "read"
    if attribute:
        return "call" if name in _VIEWS else f"reads `{name}` of a tensor"
    if name == "_set_grad_enabled":
        return "switch"
    in_place = name.endswith("_") and not name.endswith("__")
    if name in _RANDOM:
        return "draws random numbers"
    if name in _WRITERS:
        return "write"
    if in_place or name in _REFUSED:
        return f"calls `{name}`, which has side effects"
    return "call"


class Recorder(TorchFunctionMode):
    """Records the calls that depend on the inputs of a step."""

    def __init__(self, inputs: list) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.keys: list = []
        self.captured: list = []
        # Tensors are kept, so that no other one is known by their address.
        self.tensors: dict[Reference, torch.Tensor] = {}
        self.known: dict[int, Reference] = {}
        self.kinds: dict = {}
        self.count = 0
        self.reason: str | None = None
        self.num_inputs = len(inputs)
        self.addresses = {_address(x) for x in inputs}
        self.grad = torch.is_grad_enabled()
        for tensor in inputs:
            self._add(tensor)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kind = self.kinds.get(function)
        if kind is None:
            kind = self.kinds[function] = _kind(function)
        kwargs = kwargs or {}
        if kind == "write":
            self._write(function, args, kwargs)
        elif kind == "switch":
            self.grad = args[0]
            self._record(torch.set_grad_enabled, args, kwargs, None)
        elif kind not in ("read", "call"):
            raise self.refusal(kind)
        result = function(*args, **kwargs)
        if kind == "call" and not (args and result is args[0]):
            self._keep(function, args, kwargs, result)
        return result

    def refusal(self, reason: str) -> Untraceable:
        """Keeps the reason, as layers wrap what is raised inside them."""
        self.reason = reason
        return Untraceable(reason)

    def _write(self, function: Any, args: Any, kwargs: dict) -> None:
        """Records a change of a tensor that the step itself has made."""
        target = args[0]
        own = self.known.get(id(target), -1) >= self.num_inputs
        if not own or _address(target) in self.addresses:
            raise self.refusal("changes a tensor that it was given")
        self._record(function, args, kwargs, None)

    def _keep(
        self, function: Any, args: Any, kwargs: dict, result: Any
    ) -> None:
        if self.grad != torch.is_grad_enabled():
            raise self.refusal("calls a function with a gradient of its own")
        if kwargs.get("generator") is not None:
            raise self.refusal("draws random numbers")
        if not self._depends((args, kwargs)) or id(result) in self.known:
            return
        several = isinstance(result, (list, tuple))
        results = list(result) if several else [result]
        if not all(isinstance(x, torch.Tensor) for x in results):
            name = getattr(function, "__name__", function)
            raise self.refusal(f"reads values by `{name}`")
        if kwargs.get("out") is not None or kwargs.get("inplace"):
            raise self.refusal("writes into a tensor")
        self._record(function, args, kwargs, results if several else result)

    def _record(
        self, function: Any, args: Any, kwargs: dict, results: Any
    ) -> None:
        """Appends a call; see `Call`, with tensors in the references' place."""
        arguments, key = self.encode(args)
        pairs = {name: self.encode(x) for name, x in kwargs.items()}
        options = {name: a for name, (a, _) in pairs.items()}
        keys = tuple((name, b) for name, (_, b) in pairs.items())
        if isinstance(results, torch.Tensor):
            results = self._add(results)
        elif results is not None:
            results = tuple(self._add(x) for x in results)
        self.calls.append(Call(function, arguments, options, results))
        self.keys.append((function, key, keys, results))

    def _add(self, tensor: torch.Tensor) -> Reference:
        reference = Reference(self.count)
        self.known[id(tensor)] = reference
        self.tensors[reference] = tensor
        self.count += 1
        return reference

    def _depends(self, x: Any) -> bool:
        for item in x.values() if type(x) is dict else x:
            if isinstance(item, torch.Tensor):
                if self.known.get(id(item), -1) >= 0:
                    return True
            elif isinstance(item, slice):
                if self._depends((item.start, item.stop, item.step)):
                    return True
            elif isinstance(item, (list, tuple, dict)) and item:
                if self._depends(item):
                    return True
        return False

    def reference(self, tensor: torch.Tensor) -> Reference:
        """Returns the tensor's reference; one not seen before is captured."""
        known = self.known.get(id(tensor))
        if known is None:
            self.captured.append(tensor)
            known = Reference(-len(self.captured))
            self.known[id(tensor)] = known
            self.tensors[known] = tensor
        return known

    def encode(self, x: Any) -> tuple[Any, Any]:
        """Returns `x` with references for tensors, and a hashable key of it."""
        if isinstance(x, keras.Variable):
            x = x.value
        if isinstance(x, torch.Tensor):
            reference = self.reference(x)
            return reference, reference
        if x is None or isinstance(x, (bool, int, str)):
            return x, (type(x), x)
        if isinstance(x, float):
            return x, x.hex()
        if isinstance(x, (list, tuple)):
            pairs = [self.encode(item) for item in x]
            key = (isinstance(x, list), *(b for _, b in pairs))
            items = [a for a, _ in pairs]
            return items if isinstance(x, list) else tuple(items), key
        if isinstance(x, slice):
            (start, stop, step), key = self.encode((x.start, x.stop, x.step))
            return slice(start, stop, step), ("slice", key)
        if isinstance(x, np.generic):
            return x, (x.dtype, x.item())
        if x is Ellipsis or isinstance(x, _CONSTANTS):
            return x, x
        raise self.refusal(f"passes a {type(x).__name__} to PyTorch")


_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
