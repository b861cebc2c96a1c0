"""Event tables of a simulated pair, and the command line on them, for the tests of event tables."""

import csv
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from command_line import exit_code

from baleen.commands.eventalign import command as eventalign
from baleen.commands.simulate import command as simulate
from baleen.event_rows import COLUMNS

SMALL = ("--contigs", "2", "--contig-length", "220", "--reads", "20", "--sites", "3", "--adapter-s", ".3")
HERE = ("--layout", "0x1", "--min-depth", "10")


def main(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit code, stdout and stderr."""
    code, shown = exit_code(*arguments), capsys.readouterr()
    return code, shown.out, shown.err


def pair_with_tables(folder: Path) -> Path:
    """Simulate a pair with `native.tsv`, `ivt.tsv` made by `baleen eventalign`; return the folder."""
    CliRunner().invoke(simulate, ["-o", str(folder), "--force", *SMALL], catch_exceptions=False)
    for name in ("native", "ivt"):
        given = ["--bam", folder / name / "reads.bam", "--signal", folder / name / "reads.blow5"]
        output = ["--ref", folder / "ref.fa", "-o", folder / f"{name}.tsv", "--threads", "1"]
        done = CliRunner().invoke(
            eventalign, [str(word) for word in (*given, *output)], catch_exceptions=False
        )
        assert done.exit_code == 0
    return folder


def of_tables(pair: Path, native: Path | None = None) -> list[str | Path]:
    """Return the options that name the BAMs and tables of a pair."""
    files: list[str | Path] = ["--ref", pair / "ref.fa"]
    for name in ("native", "ivt"):
        table = native if native is not None and name == "native" else pair / f"{name}.tsv"
        files += [f"--{name}-bam", pair / name / "reads.bam", f"--{name}-eventalign", table]
    return files


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def write_rows(path: Path, rows: list[dict], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = ["\t".join(columns), *("\t".join(str(row[name]) for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def sites(folder: Path) -> dict[str, np.ndarray]:
    lines = [line for line in (folder / "site_results.tsv").read_text().splitlines() if line[:2] != "##"]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
