"""A GPU that is pretended: its tensors are computed on the CPU but refuse to meet those of a CPU.

torch's own FakeTensorMode does not suffice (torch 2.15). On a machine without a GPU `backward`
fails in it ("hasPrimaryContext expects a valid device index"), pinned memory is not implemented,
and its tensors have no values, so that an evaluation stops at the first number that it reads. Here
each tensor of the GPU contains one of the CPU, which has its values.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from scdnet.models.ctrgcn import _find_taps
from scdnet.streams import joint_index

aten = torch.ops.aten
CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)
META = torch.device("meta")
# They copy from one device to another.
COPIES = (aten._to_copy.default, aten.copy_.default)
# They read values.
READERS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default)
# Their indices may be on the CPU.
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)


class DeviceMistakeError(Exception):
    """What would be an error on a GPU, or would make the host wait for it."""


class GpuTensor(Tensor):
    """A tensor that claims to be on a GPU, with the values of `inner` on the CPU.

    To Python code its device is GPU. To C++ code, which would look for a driver, it is META.
    """

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __new__(cls, inner: Tensor) -> Self:
        # What inference mode makes of other tensors may be views of them, which are not its own.
        with torch.inference_mode(inner.is_inference()):
            empty = torch.empty_strided(inner.shape, inner.stride(), dtype=inner.dtype, device=META)
            # Autocast and autograd take it for a tensor of a GPU.
            own = Tensor._make_subclass(cls, empty, False, device_for_backend_keys=GPU)
        own.inner = inner
        return own

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise DeviceMistakeError(f"{func}: a tensor of the pretended GPU outlived it")

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        is_there = device is None or device.type == GPU.type
        return self if is_there and dtype in (None, self.dtype) else super().to(*args, **kwargs)

    def tolist(self) -> list:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict) -> Self:
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        # A parameter stays one.
        copy._is_param = getattr(self, "_is_param", False)
        return copy

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.inner.detach().__reduce_ex__(protocol)


class PretendedGpu(TorchDispatchMode):
    """Keeps the tensors of two devices apart. Raises DeviceMistakeError where they meet."""

    def __init__(self) -> None:
        super().__init__()
        self._may_wait = True

    @contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Raise DeviceMistakeError also for what would make the host wait for the GPU."""
        self._may_wait = False
        try:
            yield
        finally:
            self._may_wait = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and a wrapper that looks for it takes time.
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        # In inference mode this comes before operations are split into their parts.
        if torch.is_inference_mode_enabled() and is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        # There is nothing to pin.
        kwargs.pop("pin_memory", None)
        if func is aten._pin_memory.default:
            return args[0].clone()
        # The tensors of the GPU among the arguments, by their inner tensors.
        given: dict[int, GpuTensor] = {}

        def unwrap(x: Tensor) -> Tensor:
            if not isinstance(x, GpuTensor):
                return x
            given[id(x.inner)] = x
            return x.inner

        inner_args = [map_tensors(unwrap, x) for x in args]
        inner_kwargs = {key: map_tensors(unwrap, x) for key, x in kwargs.items()}
        if kwargs.get("device") is not None:
            inner_kwargs["device"] = CPU
        is_result_on_gpu = makes_gpu_tensor(func, args, kwargs.get("device"), default=bool(given))
        if given and func not in COPIES:
            check_same_device(func, (*args, *kwargs.values()))
        if not self._may_wait and (given or is_result_on_gpu):
            check_waiting(func, args, kwargs, is_result_on_gpu=is_result_on_gpu)
        result = func(*inner_args, **inner_kwargs)
        if not is_result_on_gpu:
            return result
        # An operation in place returns the tensor that it was given.
        return map_tensors(lambda x: given[id(x)] if id(x) in given else GpuTensor(x), result)


@cache
def is_composite(func: Any) -> bool:
    """Check whether an operation consists of others."""
    key = "CompositeImplicitAutograd"
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def makes_gpu_tensor(func: Any, args: tuple, device: Any, *, default: bool) -> bool:
    """Check whether the result of an operation, with the keyword `device`, is on the GPU."""
    if func is aten.copy_.default:
        return isinstance(args[0], GpuTensor)
    return default if device is None else torch.device(device).type in (GPU.type, META.type)


def map_tensors(convert: Callable[[Tensor], Tensor], x: Any) -> Any:
    """Convert the tensors of an argument or result, which may be a list; torch's own is slow."""
    if isinstance(x, Tensor):
        return convert(x)
    if isinstance(x, list | tuple):
        return type(x)(map_tensors(convert, item) for item in x)
    return x


def check_same_device(func: Any, args: Sequence[Any]) -> None:
    """Raise DeviceMistakeError if tensors of the CPU are among the arguments of an operation.

    As on a GPU, they may be single numbers, unless in a list, or indices.
    """
    for number, arg in enumerate(args):
        if func in INDEXED and number == 1:
            continue
        is_number = isinstance(arg, Tensor) and arg.dim() == 0
        for x in arg if isinstance(arg, list | tuple) else [arg]:
            if isinstance(x, Tensor) and not isinstance(x, GpuTensor) and not is_number:
                raise DeviceMistakeError(
                    f"{func}: expected all tensors on {GPU}, but argument {number} of shape "
                    f"{tuple(x.shape)} is on the CPU"
                )


def check_waiting(func: Any, args: tuple, kwargs: dict, *, is_result_on_gpu: bool) -> None:
    """Raise DeviceMistakeError if an operation would make the host wait for the GPU."""
    waits = func in READERS
    if func in COPIES:
        source = args[1] if func is aten.copy_.default else args[0]
        is_async = kwargs.get("non_blocking") or (len(args) > 2 and args[2] is True)
        waits = isinstance(source, GpuTensor) != is_result_on_gpu and not is_async
    if func in INDEXED:
        indices = [x for x in args[1] if x is not None]
        waits = any(not isinstance(x, GpuTensor) or x.dtype == torch.bool for x in indices)
    if waits:
        raise DeviceMistakeError(f"{func}: the host would wait for {GPU}")


def _are_alike(x: Tensor, y: Tensor) -> bool:
    """Tell `Module.to` that a parameter which comes to the GPU is a new object."""
    return isinstance(x, GpuTensor) == isinstance(y, GpuTensor)


@contextmanager
def pretend_gpu(patch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    """Let torch find a GPU within the context; what runs in `with` of the result can use it."""
    fakes = {
        "is_available": lambda: True,
        "is_bf16_supported": lambda *args, **kwargs: True,
        "_lazy_init": lambda: None,
        # Chance on the pretended GPU is that of the CPU.
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
    }
    for name, fake in fakes.items():
        patch.setattr(torch.cuda, name, fake)
    patch.setattr(torch.accelerator, "get_memory_info", lambda device: (1 << 40, 1 << 40))
    patch.setattr(torch.accelerator, "max_memory_reserved", lambda device: 0)
    patch.setattr(torch.accelerator, "reset_peak_memory_stats", lambda device: None)
    patch.setattr(torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
    patch.setattr(torch, "_has_compatible_shallow_copy_type", _are_alike)
    # Both as in FakeTensorMode: "cuda" alone means the current GPU, and `torch.tensor` makes a
    # tensor of the CPU before it is copied.
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        yield PretendedGpu()
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        for cached in (joint_index, _find_taps):
            cached.cache_clear()
