"""`baleen devices`: what this installation can compute on."""

import click


@click.command("devices", short_help="list what this installation can compute on")
def command() -> None:
    """List the devices that --cuda can name, the cores this job may use, and the signal formats read."""
    import krill
    from baleen.executors import usable_cores
    from krill.reads.signal import SUFFIXES

    for device in krill.devices():
        click.echo(f"{device.name}: {', '.join(device.instruction_sets)}")
    click.echo(f"cores: {usable_cores()}")
    click.echo(f"signal formats: {', '.join(suffix.lstrip('.') for suffix in SUFFIXES)}")
