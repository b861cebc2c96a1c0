"""Where dynamic time warping can run: the processor with its instruction sets."""

from dataclasses import dataclass

from krill._krill import instruction_sets
from krill.errors import DeviceError


@dataclass(frozen=True)
class Device:
    """A place to compute on.

    Parameters
    ----------
    name
        What ``device=`` takes.
    instruction_sets
        What it can use, widest first; the environment variable ``KRILL_ISA`` forces one.
    """

    name: str
    instruction_sets: tuple[str, ...]


def devices() -> tuple[Device, ...]:
    """Return every device of this machine that this build can compute on."""
    return (Device("cpu", tuple(instruction_sets())),)


def require_device(name: str) -> Device:
    """Return the device of this name.

    Raises
    ------
    DeviceError
        If it cannot be had; the message says why.
    """
    found = devices()
    for device in found:
        if device.name == name:
            return device
    names = ", ".join(device.name for device in found)
    if name.partition(":")[0] == "cuda":
        msg = f"device {name!r}: this build of krill has no CUDA backend; devices here: {names}"
    else:
        msg = f"device {name!r} is not known; devices here: {names}"
    raise DeviceError(msg)
