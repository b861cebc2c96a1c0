"""Where dynamic time warping can run: the processor with its instruction sets, and GPUs."""

import re
import threading
from dataclasses import dataclass
from functools import cache

from krill._krill import cuda_gpus, instruction_sets
from krill.errors import DeviceError


@dataclass(frozen=True)
class Device:
    """A place to compute on.

    Parameters
    ----------
    name
        What ``device=`` takes.
    instruction_sets
        What it can use, widest first; the environment variable ``KRILL_ISA`` forces one of the
        processor's. Of a GPU its architecture.
    model
        The maker's name of a GPU.
    free_bytes, total_bytes
        Memory of a GPU, now; 0 for the processor.
    """

    name: str
    instruction_sets: tuple[str, ...]
    model: str = ""
    free_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class GpuShare:
    """GPUs and how much of them a call may use; what ``device=`` takes as well as a name.

    Parameters
    ----------
    name
        ``cuda:0``, ``cuda:0,1`` or ``cuda:all``.
    memory_limit
        Bytes of each GPU's memory for all who share it together; none: what is free.
    sharers
        Processes that share the GPUs: each uses so small a part of the memory.
    """

    name: str
    memory_limit: int | None = None
    sharers: int = 1

    def __str__(self) -> str:
        return self.name


Place = str | GpuShare


def devices() -> tuple[Device, ...]:
    """Return every device of this machine that can be computed on."""
    return (Device("cpu", tuple(instruction_sets())), *_probe()[0])


def gpu_problems() -> tuple[str, ...]:
    """Return why GPUs are not used: one line for all, or for each that cannot be; empty if all can."""
    return _probe()[1]


def _probe() -> tuple[list[Device], tuple[str, ...]]:
    """Return the GPUs that can be used, and what is wrong with the others."""
    gpus, reason = cuda_gpus()
    if reason is not None:
        return [], (f"cuda: {reason}",)
    usable, problems = [], []
    for ordinal, model, (major, minor), memory, problem in gpus:
        if problem is None and memory is not None:
            usable.append(Device(f"cuda:{ordinal}", (f"sm_{major}{minor}",), model, *memory))
        else:
            problems.append(f"cuda:{ordinal} ({model}): {problem}")
    return usable, tuple(problems)


@cache
def open_early() -> threading.Thread:
    """Begin to open the GPUs of this machine, once per process, while the caller goes on.

    It takes some .2 s, a good part of a small run; whoever uses a GPU before it is open waits for
    that and no longer. What cannot be opened is said where it is asked for.
    """
    opening = threading.Thread(target=cuda_gpus, name="opening GPUs")
    opening.start()
    return opening


def gpu_ordinals(name: str) -> tuple[int, ...]:
    """Return the numbers of the GPUs of a name such as ``cuda:0,1``; none for the processor.

    Raises
    ------
    DeviceError
        If it is no name of a device, or ``cuda:all`` and there are none.
    """
    if name == "cpu":
        return ()
    if re.fullmatch(r"cuda:\d+(,\d+)*", name):
        return tuple(sorted({int(number) for number in name.removeprefix("cuda:").split(",")}))
    if name == "cuda:all":
        usable, problems = _probe()
        if not usable:
            msg = f"device {name}: no GPU can be used; {'; '.join(problems)}"
            raise DeviceError(msg)
        return tuple(int(device.name.removeprefix("cuda:")) for device in usable)
    msg = f"device {name!r} is not known; it is cpu, cuda:0, cuda:0,1 or cuda:all"
    raise DeviceError(msg)


def require_device(name: str) -> str:
    """Return the device's full name, ``cuda:all`` written out.

    Raises
    ------
    DeviceError
        If it, or one of several, cannot be had; the message says why.
    """
    ordinals = gpu_ordinals(name)
    if not ordinals:
        return name
    usable, problems = _probe()
    names = [f"cuda:{ordinal}" for ordinal in ordinals]
    for one in names:
        if one not in {device.name for device in usable}:
            own = [problem for problem in problems if problem.startswith((f"{one} ", "cuda: "))]
            found = ", ".join(device.name for device in usable)
            reason = own[0].partition(": ")[2] if own else f"there is no such GPU; there are {found}"
            msg = f"device {one}: {reason}"
            raise DeviceError(msg)
    return "cuda:" + ",".join(str(ordinal) for ordinal in ordinals)
