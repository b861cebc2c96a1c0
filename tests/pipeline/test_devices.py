"""`baleen devices`."""

from click.testing import CliRunner

from baleen.commands.devices import command


def test_devices_lists_the_processor_and_the_formats() -> None:
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert result.output.startswith("cpu: ")
    assert "signal formats: blow5, pod5" in result.output
