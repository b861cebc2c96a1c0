"""The documents agree with the code."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from baleen.cli import COMMANDS, baleen

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


@pytest.mark.parametrize("name", ["command-line.md", "site-table.md", "read-status.md"])
def test_reference_pages_are_current(name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text() == generated()[name], "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def shown_commands() -> list[tuple[str, str]]:
    """Every `baleen ...` line in a code block, with continuation lines joined."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh|bash|console)?\n(.*?)```", page.read_text(), re.DOTALL):
            lines = [line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()]
            found += [(str(page.relative_to(ROOT)), line) for line in lines if line.startswith("baleen ")]
    return found


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_shown_commands_and_flags_exist(page: str, line: str) -> None:
    words = line.split("#")[0].split()
    command: click.Command | None = baleen
    context = click.Context(baleen)
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.get_command(context, rest.pop(0))
    assert command is not None, f"{page} shows a command that does not exist: {line}"
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    flags = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert flags - known - {"--help", "-h", "--version"} == set(), line


def test_every_command_has_a_help_text() -> None:
    context = click.Context(baleen)
    assert all((command := baleen.get_command(context, name)) and command.help for name in COMMANDS)
