"""NVIDIA's driver through ctypes: as much as the benchmarks need to launch a program and time it."""

import ctypes
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent
_CLOCK_KHZ, _MULTIPROCESSORS = 13, 16


class Gpu:
    """The primary context of a device, current in this thread."""

    def __init__(self, ordinal: int) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), ordinal)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._device = device

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            msg = f"{name} returned {status}"
            raise RuntimeError(msg)

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    @property
    def multiprocessors(self) -> int:
        """Processors that run blocks side by side."""
        return self._attribute(_MULTIPROCESSORS)

    @property
    def hz(self) -> float:
        """Highest clock."""
        return 1000.0 * self._attribute(_CLOCK_KHZ)

    def kernel(self, program: str, name: str) -> ctypes.c_void_p:
        """Return a kernel of a program whose PTX lies in this folder."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        text = (FOLDER / f"{program}.ptx").read_bytes() + b"\0"
        self._call("cuModuleLoadData", ctypes.byref(module), text)
        self._call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        return function

    def seconds(self, kernel: ctypes.c_void_p, blocks: int, threads: int, arguments: list[Any]) -> float:
        """Launch and wait; return the wall time."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(value) for value in arguments))
        start = time.perf_counter()
        self._call("cuLaunchKernel", kernel, blocks, 1, 1, threads, 1, 1, 0, None, pointers, None)
        self._call("cuCtxSynchronize")
        return time.perf_counter() - start


class Array:
    """An array on the device; a context, at whose end it is freed."""

    def __init__(self, gpu: Gpu, values: npt.NDArray[Any]) -> None:
        self._gpu, self._like = gpu, np.ascontiguousarray(values)
        self.address = ctypes.c_uint64()
        gpu._call("cuMemAlloc_v2", ctypes.byref(self.address), ctypes.c_size_t(max(1, values.nbytes)))
        size = ctypes.c_size_t(self._like.nbytes)
        gpu._call("cuMemcpyHtoD_v2", self.address, ctypes.c_void_p(self._like.ctypes.data), size)

    def fetch(self) -> npt.NDArray[Any]:
        """Return what the device holds now."""
        out = np.empty_like(self._like)
        size = ctypes.c_size_t(out.nbytes)
        self._gpu._call("cuMemcpyDtoH_v2", ctypes.c_void_p(out.ctypes.data), self.address, size)
        return out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gpu._call("cuMemFree_v2", self.address)
