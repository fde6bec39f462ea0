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


@dataclass(frozen=True)
class Reference:
    """Stands for a tensor in a recorded call.

    From 0: the step's inputs, then what its calls return, in their order.
    Below 0: what the step captured, from -1 down.
    """

    index: int


# What a step may ask of a tensor without reading its values.
_PROPERTIES = frozenset(
    "shape dtype device ndim is_meta requires_grad layout is_sparse "
    "is_sparse_csr is_quantized is_cuda is_cpu is_mps is_leaf is_nested "
    "itemsize nbytes names".split()
)
_METHODS = frozenset(
    "size dim numel nelement stride is_floating_point is_complex "
    "element_size get_device is_contiguous type result_type promote_types "
    "can_cast is_tensor is_storage __len__ __hash__ is_inference "
    "is_signed is_same_size "
    # What follows while gradients are off is refused, not the switch: it
    # must switch them on again.
    "_set_grad_enabled".split()
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
    """Returns `read` of metadata, `write`, `call`, or why it is refused."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
        if name in _PROPERTIES:
            return "read"
        return "call" if name in _VIEWS else f"reads `{name}` of a tensor"
    if name in _METHODS:
        return "read"
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
        self.calls: list = []
        self.keys: list = []
        self.captured: list = []
        self.alive: list = []
        self.known: dict = {}
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
        arguments, options = self.encode(args), self.encode(kwargs)
        self.calls.append((function, arguments[0], options[0], False))
        self.keys.append((function, arguments[1], options[1], 0))

    def _keep(
        self, function: Any, args: Any, kwargs: dict, result: Any
    ) -> None:
        if self.grad and not torch.is_grad_enabled():
            raise self.refusal("switches gradients off")
        if kwargs.get("generator") is not None:
            raise self.refusal("draws random numbers")
        if not self._depends((args, kwargs)) and not _narrows(args, result):
            return
        if isinstance(result, torch.Tensor):
            if id(result) in self.known:
                return
            results = [result]
        else:
            several = isinstance(result, (list, tuple))
            results = list(result) if several else [None]
        if not all(isinstance(x, torch.Tensor) for x in results):
            name = getattr(function, "__name__", function)
            raise self.refusal(f"reads values by `{name}`")
        if kwargs.get("out") is not None or kwargs.get("inplace"):
            raise self.refusal("writes into a tensor")
        arguments, options = self.encode(args), self.encode(kwargs)
        self.calls.append((function, arguments[0], options[0], True))
        self.keys.append((function, arguments[1], options[1], len(results)))
        for tensor in results:
            self._add(tensor)

    def _add(self, tensor: torch.Tensor) -> None:
        # Kept alive, so that no other tensor is known by its address.
        self.alive.append(tensor)
        self.known[id(tensor)] = self.count
        self.count += 1

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
        index = self.known.get(id(tensor))
        if index is None:
            self.captured.append(tensor)
            self.alive.append(tensor)
            index = self.known[id(tensor)] = -len(self.captured)
        return Reference(index)

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
            return rebuild(x, [a for a, _ in pairs]), key
        if isinstance(x, dict):
            named = {name: self.encode(item) for name, item in x.items()}
            return {name: a for name, (a, _) in named.items()}, tuple(
                (name, b) for name, (_, b) in named.items()
            )
        if isinstance(x, slice):
            (start, stop, step), key = self.encode((x.start, x.stop, x.step))
            return slice(start, stop, step), ("slice", key)
        if isinstance(x, np.generic):
            return x, (x.dtype, x.item())
        if x is Ellipsis or isinstance(x, _CONSTANTS):
            return x, x
        raise self.refusal(f"passes a {type(x).__name__} to PyTorch")


_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format)


def _narrows(args: Any, result: Any) -> bool:
    """Tells whether a weight was cast to half the precision.

    Such a cast belongs to the step, so that the gradients of all steps are
    added up behind it, in full precision.
    """
    return (
        isinstance(result, torch.Tensor)
        and result.dtype in (torch.float16, torch.bfloat16)
        and result.requires_grad
        and isinstance(args[0], torch.Tensor)
        and args[0].dtype.itemsize > result.dtype.itemsize
    )


def rebuild(like: Any, items: list) -> Any:
    """Makes a list or a tuple of these items, like the other."""
    return items if isinstance(like, list) else tuple(items)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
