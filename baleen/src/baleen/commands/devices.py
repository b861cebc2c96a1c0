"""`baleen devices`: what this installation can compute on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import krill


@click.command("devices", short_help="list what this installation can compute on")
def command() -> None:
    """List the devices that --cuda can name, why others are not used, cores, and signal formats read."""
    import krill
    from baleen.executors import usable_cores
    from krill.reads.signal import SUFFIXES

    for device in krill.devices():
        click.echo(f"{device.name}: {', '.join(_features(device))}")
    for problem in krill.gpu_problems():
        click.echo(f"not used: {problem}")
    click.echo(f"cores: {usable_cores()}")
    click.echo(f"signal formats: {', '.join(suffix.lstrip('.') for suffix in SUFFIXES)}")


def _features(device: "krill.Device") -> Iterator[str]:
    if device.model:
        yield device.model
    yield from device.instruction_sets
    if device.total_bytes:
        yield f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
