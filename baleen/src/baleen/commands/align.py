"""`baleen align`: reads in, a sorted and indexed BAM out."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from baleen.commands.options import Bytes

_FILE = click.Path(path_type=Path)
_PRESETS = ("rna", "rna-transcripts", "splice", "map-ont", "sr")
_OTHERS = {"bowtie", "bowtie2", "hisat2"}
_ENGINES_OF = {
    "preset": {"minimap2"},
    "secondary": {"minimap2"},
    "index": _OTHERS,
    "engine_args": _OTHERS,
    "split": _OTHERS,
    "unspliced": {"hisat2"},
}
"""Options that not every engine heeds."""


@click.command("align", short_help="align FASTQ or unaligned BAM: minimap2, bowtie, bowtie2, hisat2")
@click.argument("files", metavar="READS [MATES] REF", type=_FILE, nargs=-1, required=True)
@click.option(
    "-o", "bam", metavar="BAM", type=_FILE, required=True, help="BAM to write; its index lies beside it."
)
@click.option(
    "--engine",
    type=click.Choice(["minimap2", "bowtie", "bowtie2", "hisat2"]),
    default="minimap2",
    show_default=True,
    help="minimap2 is built in; the others are programs to be installed.",
)
@click.option(
    "--preset",
    type=click.Choice(_PRESETS),
    default="rna",
    show_default=True,
    help="Kind of reads, for minimap2.",
)
@click.option("--secondary", is_flag=True, help="Write secondary alignments too (minimap2).")
@click.option("--index", type=_FILE, help="Prefix of an index built before (other engines).")
@click.option("--engine-args", default="", help="Further arguments for the engine, quoted as in a shell.")
@click.option("--unspliced", is_flag=True, help="Do not look for introns (hisat2).")
@click.option("--procs", type=click.IntRange(1), default=1, show_default=True, help="Processes (others).")
@click.option(
    "--threads",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Threads, of each process; 0 = all cores this job may use.",
)
@click.option(
    "--split",
    type=click.Choice(["dynamic", "static"]),
    default="dynamic",
    show_default=True,
    help="Feed the process that has room, or cut the reads into equal files first (others).",
)
@click.option("--parsing", default="auto", show_default=True, help="In the input lock: O, D, B, L, K, A.")
@click.option(
    "--lock", default="auto", show_default=True, help="os, ttas, ticket, mcs, mcs-park, cohort (auto = os)."
)
@click.option(
    "--output",
    default="slices",
    show_default=True,
    help="Who collects what: single, striped:N, slices, ordered.",
)
@click.option("--numa", default="off", show_default=True, help="Pin workers: off, spread, node.")
@click.option("--memory", type=Bytes(), default="1G", show_default=True, help="Memory for sorting.")
@click.option(
    "--level", type=click.IntRange(0, 12), default=6, show_default=True, help="Compression of the BAM."
)
@click.option("--force", is_flag=True, help="Replace the output.")
def command(**given: Any) -> None:
    """Align READS, or READS and MATES of paired short reads, to the reference REF.

    READS is FASTQ (plain, gzip, bgzip, a pipe, - for standard input; U counts as T) or unaligned BAM,
    whose tags are carried over.
    """
    from baleen.console import LOG, start_logging
    from baleen.engines import AlignRequest, ProcessPlan, align_reads, pump_settings
    from baleen.errors import UsageError
    from baleen.files import check_output
    from baleen.termination import ended_by_signals
    from krill.map import AlignOptions

    start_logging()
    if len(given["files"]) not in {2, 3}:
        message = f"READS [MATES] REF: {len(given['files'])} files given, 2 or 3 expected"
        raise UsageError(message)
    _refuse_unheeded(given["engine"])
    output: Path = given["bam"]
    check_output(output, given["files"], is_forced=given["force"])
    names = {name: given[name] for name in ("parsing", "lock", "numa")}
    request = AlignRequest(
        reads=given["files"][:-1],
        reference=given["files"][-1],
        output=output,
        engine=given["engine"],
        options=AlignOptions(
            preset=given["preset"],
            secondary=given["secondary"],
            memory_bytes=given["memory"],
            level=given["level"],
            command_line=shlex.join(["baleen", *sys.argv[1:]]),
        ),
        pump=pump_settings(given["threads"], given["procs"], output=given["output"], **names),
        plan=ProcessPlan(
            processes=given["procs"],
            index=given["index"],
            is_static=given["split"] == "static",
            is_spliced=not given["unspliced"],
            arguments=tuple(shlex.split(given["engine_args"])),
        ),
    )
    with ended_by_signals():
        report = align_reads(request)
    share = 100 * report.n_mapped / max(1, report.n_reads)
    LOG.info("%s: %d of %d reads aligned (%.1f %%)", output, report.n_mapped, report.n_reads, share)
    LOG.info(
        "%.1f s reading and aligning, %.1f s merging; %.2f %% of the workers' time inside shared locks",
        report.mapping.wall_s,
        report.merging.wall_s,
        100 * report.locked_share,
    )


def _refuse_unheeded(engine: str) -> None:
    """Raise ``UsageError`` for an option on the command line that means nothing to the engine."""
    from baleen.errors import UsageError

    context = click.get_current_context()
    for name, engines in _ENGINES_OF.items():
        is_given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if is_given and engine not in engines:
            option = "--" + name.replace("_", "-")
            message = f"{option} is for {', '.join(sorted(engines))}; --engine {engine} has no use for it"
            raise UsageError(message)
