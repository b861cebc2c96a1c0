"""Write the reference pages from the code: `make docs`. A test holds the pages to it."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from baleen.cli import COMMANDS, baleen
from baleen.columns import (
    CONTRAST_COLUMNS,
    EVENT_NAME_COLUMNS,
    MOD_COLUMNS,
    MOD_READ_COLUMNS,
    SAMPLE_COLUMNS,
    SITE_COLUMNS,
    Column,
)
from krill import ReadStatus

FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Return file name and text of every generated page."""
    return {
        "command-line.md": "\n".join(_command_line()) + "\n",
        "site-table.md": "\n".join(_site_table()) + "\n",
        "read-status.md": "\n".join(_read_status()) + "\n",
    }


def _command_line() -> Iterator[str]:
    yield "# Command line"
    yield ""
    yield "Generated from the code by `make docs`."
    yield "Settings can also be given in the environment (`BALEEN_<NAME>`) or in a TOML file (`--config`)."
    yield ""
    yield "| exit code | means |"
    yield "| --- | --- |"
    yield "| 0 | done; where nothing could be called, a warning says why |"
    yield "| 1 | an error that no other code describes |"
    yield "| 2 | a flag or setting cannot be what it is; a device cannot be had |"
    yield "| 3 | an input file is missing, damaged or does not fit the others |"
    yield "| 4 | `--resume` into a run of other settings or inputs |"
    yield "| 5 | a result cannot be written (disk full) |"
    yield "| 6 | done, but some contigs failed; `--resume` tries them again |"
    yield "| 130, 143 | stopped by Ctrl-C, by SIGTERM; `--resume` goes on with a run |"
    context = click.Context(baleen, info_name="baleen")
    for name in COMMANDS:
        command = baleen.get_command(context, name)
        if command is None:
            message = f"no command {name}"
            raise LookupError(message)
        yield ""
        yield from _command(command, f"baleen {name}", click.Context(command, context, name))


def _command(command: click.Command, title: str, context: click.Context) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield inspect.cleandoc(command.help or "")
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield ""
            yield from _command(inner, f"{title} {name}", click.Context(inner, context, name))
        return
    yield ""
    yield "| option | default | meaning |"
    yield "| --- | --- | --- |"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield _option_row(parameter)


def _option_row(option: click.Option) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = (
        ""
        if option.is_flag
        else f" {option.make_metavar(click.Context(click.Command('x')))}".replace("|", "\\|")
    )
    if isinstance(option.type, click.Choice):
        kind = " " + "\\|".join(map(str, option.type.choices))
    shown = option.default
    if option.required:
        shown = "required"
    elif not option.show_default or callable(shown) or shown is None:
        shown = ""
    elif isinstance(shown, bool):
        shown = (option.opts if shown else option.secondary_opts or ["off"])[0]
    return f"| {names}{kind} | {shown} | {option.help or ''} |"


def _site_table() -> Iterator[str]:
    yield "# `site_results.tsv`"
    yield ""
    yield "Generated from the code by `make docs`."
    yield "Tab-separated; lines that begin with `##` come first; missing values are empty; truth is 1 and 0."
    yield ""
    yield from _columns(SITE_COLUMNS)
    yield ""
    yield "## `sample_sites.tsv`"
    yield ""
    yield "Written where a run has more than one native and one control sample."
    yield ""
    yield from _columns(SAMPLE_COLUMNS)
    yield ""
    yield "## `contrasts.tsv`"
    yield ""
    yield "Written where a run has several native conditions: a line per pair of them and position"
    yield "where natives together differ from the control at p < .05."
    yield ""
    yield from _columns(CONTRAST_COLUMNS)
    yield ""
    yield "## `basecaller_mods.tsv`"
    yield ""
    yield "Written with `--basecaller-mods`: what the tags MM and ML say, native against control."
    yield ""
    yield from _columns(MOD_COLUMNS)
    yield ""
    yield "## `basecaller_reads.tsv`"
    yield ""
    yield "Written with `--basecaller-mods`: native reads at rows with padj < .05 of the table above."
    yield ""
    yield from _columns(MOD_READ_COLUMNS)
    yield ""
    yield "## `named_events.tsv`"
    yield ""
    yield "Written with `--basecaller-mods`: Baleen's events, and the basecaller's names for them."
    yield ""
    yield from _columns(EVENT_NAME_COLUMNS)


def _columns(columns: Sequence[Column]) -> Iterator[str]:
    yield "| column | type | unit | meaning |"
    yield "| --- | --- | --- | --- |"
    for column in columns:
        yield f"| `{column.name}` | {column.dtype} | {column.unit} | {column.description} |"


def _read_status() -> Iterator[str]:
    yield "# Read status"
    yield ""
    yield "Generated from the code by `make docs`."
    yield "Every read of the BAM files ends in exactly one; the counts stand in `run.json`."
    yield ""
    for status in ReadStatus:
        yield f"* `{status.name.lower()}`"


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        sys.stderr.write(f"{FOLDER / name}\n")


if __name__ == "__main__":
    main()
